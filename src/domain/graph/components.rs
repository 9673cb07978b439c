//! Strongly connected components, by Tarjan with an explicit stack.

use super::{Kept, NodeSet, at, change};

/// The components of a part of a graph, each found after all those that it reaches.
pub(super) struct Components {
    nodes: Vec<u32>,
    starts: Vec<u32>,
}

impl Components {
    /// Finds the components among the nodes of `part`; edges that leave it do not count.
    pub(super) fn of(kept: Kept<'_>, part: &NodeSet) -> Self {
        let mut walk = Walk::over(kept, part);
        for node in part.iter() {
            walk.from(node.0);
        }
        walk.found
    }

    /// The components, each before all those that it reaches.
    pub(super) fn sources_first(&self) -> impl Iterator<Item = &[u32]> {
        let all = self.nodes.as_slice();
        self.starts.iter().rev().scan(all, |rest, &start| {
            let (before, component) = rest.split_at_checked(start as usize)?;
            *rest = before;
            Some(component)
        })
    }
}

/// What `low` says of a node that was not opened yet.
const UNSEEN: u32 = 0;
/// What `low` says of a node in a finished component or outside the part: no edge to it lowers anything.
const CLOSED: u32 = u32::MAX;

struct Walk<'g> {
    kept: Kept<'g>,
    /// The lowest number of an unfinished node that each is known to reach.
    low: Vec<u32>,
    /// How many nodes were opened; each is numbered by it.
    opened: u32,
    path: Vec<Frame>,
    /// Opened nodes whose component is not finished.
    pending: Vec<u32>,
    found: Components,
}

/// A node on the path from where the walk began.
struct Frame {
    node: u32,
    number: u32,
    /// The edge to look at next.
    edge: u32,
}

impl<'g> Walk<'g> {
    fn over(kept: Kept<'g>, part: &NodeSet) -> Self {
        let mut low = vec![CLOSED; kept.graph.len()];
        for node in part.iter() {
            change(&mut low, node.0, |_| UNSEEN);
        }
        Self {
            kept,
            low,
            opened: 0,
            path: Vec::new(),
            pending: Vec::new(),
            found: Components {
                nodes: Vec::new(),
                starts: Vec::new(),
            },
        }
    }

    fn from(&mut self, start: u32) {
        if self.low(start) == UNSEEN {
            self.open(start);
        }
        while let Some(frame) = self.path.last_mut() {
            let (node, edge) = (frame.node, frame.edge);
            frame.edge += 1;
            match self.kept.nth(node, edge) {
                Some(next) if self.low(next) == UNSEEN => self.open(next),
                Some(next) => self.lower(node, self.low(next)),
                None => self.close(),
            }
        }
    }

    fn open(&mut self, node: u32) {
        self.opened += 1;
        let number = self.opened;
        change(&mut self.low, node, |_| number);
        self.pending.push(node);
        self.path.push(Frame {
            node,
            number,
            edge: 0,
        });
    }

    /// Leaves the last node of the path; if it reaches none that was opened before it, its component is finished.
    fn close(&mut self) {
        let Some(Frame { node, number, .. }) = self.path.pop() else {
            return;
        };
        let low = self.low(node);
        if low == number {
            self.finish(node);
        } else if let Some(before) = self.path.last() {
            self.lower(before.node, low);
        }
    }

    fn finish(&mut self, first: u32) {
        // The builder takes fewer paths than there are indices.
        let start = u32::try_from(self.found.nodes.len()).unwrap_or(CLOSED);
        self.found.starts.push(start);
        while let Some(node) = self.pending.pop() {
            change(&mut self.low, node, |_| CLOSED);
            self.found.nodes.push(node);
            if node == first {
                break;
            }
        }
    }

    fn low(&self, node: u32) -> u32 {
        at(&self.low, node).unwrap_or(CLOSED)
    }

    fn lower(&mut self, node: u32, to: u32) {
        change(&mut self.low, node, |low| to.min(low));
    }
}
