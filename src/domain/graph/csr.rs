//! Edges in compressed sparse rows: one array of row starts, one of targets.

use std::iter::repeat_n;

use super::NONE;

/// The edges of all nodes.
#[derive(Debug, Default)]
pub(super) struct Csr {
    /// One more than nodes: the end of a row is the start of the next.
    starts: Vec<u32>,
    targets: Vec<u32>,
}

impl Csr {
    /// The targets of a node's edges.
    #[inline]
    pub(super) fn row(&self, node: u32) -> &[u32] {
        let node = node as usize;
        let bounds = (self.starts.get(node), self.starts.get(node + 1));
        let (Some(&start), Some(&end)) = bounds else {
            return &[];
        };
        self.targets
            .get(start as usize..end as usize)
            .unwrap_or_default()
    }

    /// The same edges from their ends.
    pub(super) fn reversed(&self) -> Self {
        let nodes = self.starts.len().saturating_sub(1);
        let sources = 0..u32::try_from(nodes).unwrap_or(NONE);
        let edges = sources.flat_map(|node| self.row(node).iter().map(move |&to| (to, node)));
        Self::gathered(nodes, edges)
    }

    /// The edges to each node from those that name it in `table`; `none` names no node.
    pub(super) fn inverse_of(table: &[u32], none: u32) -> Self {
        let edges = table.iter().copied().zip(0u32..);
        Self::gathered(table.len(), edges.filter(|&(target, _)| target != none))
    }

    /// The edges of so many nodes, in any order.
    fn gathered(nodes: usize, edges: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        let mut starts = vec![0u32; nodes + 1];
        for (source, _) in edges.clone() {
            if let Some(length) = starts.get_mut(source as usize + 1) {
                *length += 1;
            }
        }
        sum_up(&mut starts);
        Self::placed(starts, edges)
    }

    /// The edges in rows that begin there.
    fn placed(starts: Vec<u32>, edges: impl Iterator<Item = (u32, u32)>) -> Self {
        let mut next = starts.clone();
        let total = starts.last().copied().unwrap_or_default();
        let mut targets = vec![NONE; total as usize];
        for (source, target) in edges {
            if let Some(next) = next.get_mut(source as usize)
                && let Some(slot) = targets.get_mut(*next as usize)
            {
                *slot = target;
                *next += 1;
            }
        }
        Self { starts, targets }
    }
}

/// Turns lengths, each one place too far back, into starts.
fn sum_up(lengths: &mut [u32]) {
    let mut sum = 0;
    for length in lengths {
        sum += *length;
        *length = sum;
    }
}

/// Edges as they come: runs of one source share its name, so that sorted input needs next to nothing beside the targets.
#[derive(Debug, Default)]
pub(super) struct EdgeRuns {
    runs: Vec<(u32, u32)>,
    targets: Vec<u32>,
}

impl EdgeRuns {
    pub(super) fn push(&mut self, source: u32, target: u32) {
        match self.runs.last_mut() {
            Some((last, length)) if *last == source => *length += 1,
            _ => self.runs.push((source, 1)),
        }
        self.targets.push(target);
    }

    /// Gathers the runs of each of `nodes` nodes; `None` when there are more edges than indices.
    pub(super) fn into_csr(self, nodes: usize) -> Option<Csr> {
        u32::try_from(self.targets.len()).ok()?;
        let mut starts = vec![0u32; nodes + 1];
        for &(source, length) in &self.runs {
            *starts.get_mut(source as usize + 1)? += length;
        }
        sum_up(&mut starts);
        if self.runs.is_sorted() {
            return Some(Csr {
                starts,
                targets: self.targets,
            });
        }
        let runs = self.runs.iter();
        let sources = runs.flat_map(|&(source, length)| repeat_n(source, length as usize));
        let edges = sources.zip(self.targets.iter().copied());
        Some(Csr::placed(starts, edges))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(csr: &Csr, nodes: u32) -> Vec<Vec<u32>> {
        (0..nodes)
            .map(|node| {
                let mut row = csr.row(node).to_vec();
                row.sort_unstable();
                row
            })
            .collect()
    }

    proptest! {
        #[test]
        fn edges_come_back_in_any_order(edges in prop::collection::vec((0u32..20, 0u32..20), 0..100)) {
            let mut runs = EdgeRuns::default();
            let mut forward = vec![Vec::new(); 20];
            let mut backward = vec![Vec::new(); 20];
            for &(source, target) in &edges {
                runs.push(source, target);
                forward[source as usize].push(target);
                backward[target as usize].push(source);
            }
            for row in forward.iter_mut().chain(&mut backward) {
                row.sort_unstable();
            }
            let csr = runs.into_csr(20).unwrap();
            prop_assert_eq!(rows(&csr, 20), forward);
            prop_assert_eq!(rows(&csr.reversed(), 20), backward);
        }

        #[test]
        fn a_table_is_turned_round(table in prop::collection::vec(prop::option::of(0u32..15), 15)) {
            let raw: Vec<u32> = table.iter().map(|n| n.unwrap_or(NONE)).collect();
            let csr = Csr::inverse_of(&raw, NONE);
            for node in 0..15 {
                let naive: Vec<u32> = (0..15).filter(|&n| table[n as usize] == Some(node)).collect();
                prop_assert_eq!(csr.row(node), naive);
            }
            prop_assert!(csr.row(15).is_empty());
        }
    }

    #[test]
    fn edges_of_one_source_share_its_name() {
        let mut runs = EdgeRuns::default();
        for (source, target) in [(1, 2), (1, 3), (4, 1)] {
            runs.push(source, target);
        }
        assert_eq!(runs.runs, [(1, 2), (4, 1)]);
    }
}
