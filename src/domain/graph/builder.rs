//! Construction of a graph from database rows: first all paths, then the edges.

use super::csr::EdgeRuns;
use super::names::{Lookup, Names};
use super::packages::stem_length;
use super::rows::Rows;
use super::{NONE, StoreGraph};

/// Why rows make no graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// A row number is there twice.
    #[error("two paths have the row number {0}")]
    DuplicateId(i64),
    /// A path is there twice.
    #[error("the path {0} is there twice")]
    DuplicatePath(String),
    /// A path came behind a reference or an output, which might have meant it.
    #[error("the path {0} came after references")]
    LatePath(String),
    /// There are more paths, names or references than fit.
    #[error("the store has too many paths or references")]
    TooLarge,
}

/// Takes the rows of a store database: all paths, and then references and outputs in any order.
#[derive(Debug, Default)]
pub struct GraphBuilder {
    names: Names,
    ids: Vec<i64>,
    nar_sizes: Vec<u64>,
    registered: Vec<i64>,
    stems: Vec<u8>,
    /// The derivers by name, until all paths are known.
    deriver_names: Names,
    derived: Vec<u32>,
    joined: Option<Joined>,
    /// The first thing that was wrong; nothing is taken after it.
    error: Option<GraphError>,
}

/// What can be made once all paths are there.
#[derive(Debug)]
struct Joined {
    lookup: Lookup,
    rows: Rows,
    derivers: Vec<u32>,
    references: EdgeRuns,
    outputs: EdgeRuns,
    /// Outputs by name that are not looked for yet, and the derivations that have them.
    output_names: Names,
    producers: Vec<u32>,
    orphans: u64,
}

/// So many outputs are looked for together.
const MANY: usize = 1 << 14;

impl GraphBuilder {
    /// A builder without paths.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a valid path: its row number, base name, archive size, time of registration and recorded deriver.
    pub fn add_path(
        &mut self,
        id: i64,
        base_name: &str,
        nar_size: u64,
        registered: i64,
        deriver: Option<&str>,
    ) {
        if self.error.is_some() {
            return;
        }
        if self.joined.is_some() {
            // A row that named this path was taken for an orphan: the graph would lack an edge and miss a live path.
            self.error = Some(GraphError::LatePath(base_name.to_string()));
            return;
        }
        if self.take(base_name, deriver).is_none() {
            self.error = Some(GraphError::TooLarge);
            return;
        }
        self.ids.push(id);
        self.nar_sizes.push(nar_size);
        self.registered.push(registered);
        self.stems.push(stem_length(base_name, deriver));
    }

    /// Adds that one path refers to another; both by their row numbers.
    pub fn add_reference(&mut self, referrer_id: i64, reference_id: i64) {
        let Some(joined) = self.join() else { return };
        match (
            joined.rows.find(referrer_id),
            joined.rows.find(reference_id),
        ) {
            // A path does not keep itself: such rows say nothing here.
            (Some(referrer), Some(reference)) if referrer == reference => {}
            (Some(referrer), Some(reference)) => joined.references.push(referrer, reference),
            _ => joined.orphans += 1,
        }
    }

    /// Adds that a derivation, by its row number, has an output of this base name; one that is not valid is passed over.
    pub fn add_output(&mut self, drv_id: i64, output: &str) {
        let Some(joined) = self.join() else { return };
        let Some(drv) = joined.rows.find(drv_id) else {
            joined.orphans += 1;
            return;
        };
        if joined.output_names.push(output).is_none() {
            self.error = Some(GraphError::TooLarge);
            return;
        }
        joined.producers.push(drv);
        if joined.producers.len().is_multiple_of(MANY) {
            self.find_outputs();
        }
    }

    /// Finds the outputs that wait for it: many together, which is much faster than one by one.
    fn find_outputs(&mut self) {
        let Some(joined) = &mut self.joined else {
            return;
        };
        let names = std::mem::take(&mut joined.output_names);
        // One was pushed for each name.
        let mut producers = std::mem::take(&mut joined.producers).into_iter();
        let outputs = &mut joined.outputs;
        let keep = |_: &str, output: Option<u32>| {
            if let (Some(drv), Some(output)) = (producers.next(), output)
                && output != drv
            {
                outputs.push(drv, output);
            }
        };
        joined.lookup.find_each(&self.names, names.iter(), keep);
    }

    /// Makes the graph.
    ///
    /// # Errors
    /// When the rows contradict each other or there are too many.
    pub fn finish(mut self) -> Result<StoreGraph, GraphError> {
        self.join();
        self.find_outputs();
        if let Some(error) = self.error {
            return Err(error);
        }
        let joined = self.joined.ok_or(GraphError::TooLarge)?;
        let nodes = self.names.len();
        // The row numbers go first: they are not needed any more, and the edges may be gathered anew.
        drop(joined.rows);
        let csr = |edges: EdgeRuns| edges.into_csr(nodes).ok_or(GraphError::TooLarge);
        Ok(StoreGraph {
            references: csr(joined.references)?,
            outputs: csr(joined.outputs)?,
            names: self.names,
            lookup: joined.lookup,
            nar_sizes: self.nar_sizes,
            registered: self.registered,
            stems: self.stems,
            derivers: joined.derivers,
            orphans: joined.orphans,
            backward: std::sync::OnceLock::new(),
        })
    }

    fn take(&mut self, base_name: &str, deriver: Option<&str>) -> Option<()> {
        let node = u32::try_from(self.names.len()).ok()?;
        // The last index means none, and one node more must fit for the end of the last row.
        node.checked_add(2)?;
        self.names.push(base_name)?;
        if let Some(deriver) = deriver {
            self.deriver_names.push(deriver)?;
            self.derived.push(node);
        }
        Some(())
    }

    /// Closes the list of paths, if that is not done; `None` after an error.
    fn join(&mut self) -> Option<&mut Joined> {
        if self.error.is_some() {
            return None;
        }
        if self.joined.is_none() {
            match self.make_joined() {
                Ok(joined) => self.joined = Some(joined),
                Err(error) => self.error = Some(error),
            }
        }
        self.joined.as_mut()
    }

    fn make_joined(&mut self) -> Result<Joined, GraphError> {
        for table in [&mut self.registered, &mut self.ids] {
            table.shrink_to_fit();
        }
        self.nar_sizes.shrink_to_fit();
        self.stems.shrink_to_fit();
        self.names.shrink();
        let rows = Rows::new(std::mem::take(&mut self.ids))?;
        let lookup = Lookup::build(&self.names)
            .map_err(|base_name| GraphError::DuplicatePath(base_name.to_string()))?;
        let mut derivers = vec![NONE; self.names.len()];
        let names = std::mem::take(&mut self.deriver_names);
        let mut derived = std::mem::take(&mut self.derived).into_iter();
        lookup.find_each(&self.names, names.iter(), |_, deriver| {
            // One was pushed for each name.
            let node = derived.next().unwrap_or(NONE);
            if let Some(slot) = derivers.get_mut(node as usize)
                && let Some(deriver) = deriver
                && deriver != node
            {
                *slot = deriver;
            }
        });
        Ok(Joined {
            lookup,
            rows,
            derivers,
            references: EdgeRuns::default(),
            outputs: EdgeRuns::default(),
            output_names: Names::default(),
            producers: Vec::new(),
            orphans: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn with_paths(paths: &[(i64, &str)]) -> GraphBuilder {
        let mut builder = GraphBuilder::new();
        for &(id, name) in paths {
            builder.add_path(id, name, 1, 0, None);
        }
        builder
    }

    #[rstest]
    #[case::dense(&[1, 2, 3, 5])]
    #[case::unsorted(&[9, -2, 7, 3])]
    #[case::sparse(&[1, 1_000_000_000, 2_000_000_000_000, 3])]
    #[case::extreme(&[i64::MAX, i64::MIN, 0, 1])]
    fn references_find_their_rows(#[case] ids: &[i64; 4]) {
        let [a, b, c, d] = *ids;
        let mut builder = with_paths(&[(a, "a"), (b, "b"), (c, "c"), (d, "d")]);
        for (referrer, reference) in [(d, a), (a, b), (a, a), (d, c), (a, d)] {
            builder.add_reference(referrer, reference);
        }
        builder.add_reference(a, 4);
        builder.add_reference(4, a);
        builder.add_output(4, "a");
        builder.add_output(b, "c");
        builder.add_output(b, "not valid");
        let graph = builder.finish().unwrap();
        let named = |name: &str| graph.find(name).unwrap();
        let names = |row: &[u32]| -> Vec<&str> {
            let nodes = row.iter().copied().map(super::super::NodeIdx);
            nodes.map(|node| graph.base_name(node)).collect()
        };
        let [a, b, d] = ["a", "b", "d"].map(|name| named(name).0);
        assert_eq!(names(graph.references.row(a)), ["b", "d"]);
        assert_eq!(names(graph.references.row(d)), ["a", "c"]);
        assert_eq!(names(graph.backward().referrers.row(a)), ["d"]);
        assert_eq!(names(graph.outputs.row(b)), ["c"]);
        assert_eq!(graph.orphan_rows(), 3);
    }

    #[test]
    fn a_deriver_may_come_behind_its_output() {
        let mut builder = GraphBuilder::new();
        builder.add_path(1, "out", 7, 42, Some("x.drv"));
        builder.add_path(2, "x.drv", 1, 41, Some("not-valid.drv"));
        builder.add_path(3, "own.drv", 1, 41, Some("own.drv"));
        let graph = builder.finish().unwrap();
        let [out, drv, own] = ["out", "x.drv", "own.drv"].map(|name| graph.find(name).unwrap());
        assert_eq!(graph.deriver_of(out.0), Some(drv.0));
        assert_eq!(graph.deriver_of(drv.0), None);
        assert_eq!(graph.deriver_of(own.0), None);
        assert_eq!(graph.nar_size_of(out).0, 7);
        assert_eq!(graph.registered(out), 42);
    }

    #[rstest]
    #[case::dense(&[(1, "a"), (2, "b"), (1, "c")], GraphError::DuplicateId(1))]
    #[case::sparse(&[(1, "a"), (1 << 50, "b"), (1, "c")], GraphError::DuplicateId(1))]
    #[case::name(&[(1, "a"), (2, "a")], GraphError::DuplicatePath("a".into()))]
    fn contradictions_are_refused(#[case] paths: &[(i64, &str)], #[case] error: GraphError) {
        assert_eq!(with_paths(paths).finish().unwrap_err(), error);
        let mut builder = with_paths(paths);
        builder.add_reference(1, 2);
        builder.add_output(1, "b");
        builder.add_path(9, "z", 1, 1, None);
        assert_eq!(builder.finish().unwrap_err(), error);
    }

    #[test]
    fn a_path_behind_a_reference_is_refused() {
        // Else the reference to it would have been passed over, and it would look dead.
        let mut builder = with_paths(&[(1, "a")]);
        builder.add_reference(1, 2);
        builder.add_path(2, "b", 1, 1, None);
        let late = GraphError::LatePath("b".into());
        assert_eq!(builder.finish().unwrap_err(), late);
    }

    #[test]
    fn no_rows_are_an_empty_graph() {
        let graph = GraphBuilder::new().finish().unwrap();
        assert!(graph.is_empty());
        assert_eq!(graph.find("a"), None);
        assert_eq!(graph.nodes().count(), 0);
        assert!(!with_paths(&[(1, "a")]).finish().unwrap().is_empty());
    }
}
