//! Closure sizes of roots.

use std::collections::HashMap;

use super::components::Components;
use super::{KeepFlags, NodeIdx, StoreGraph, Weight, at, change};

/// How many roots are followed at once: a bit each.
const LANES: usize = 64;

impl StoreGraph {
    /// The closures of many paths, 64 in one pass over what they reach: a generation shares nearly all with the next,
    /// and a walk for each would do the same work over and over.
    pub fn closure_sizes(&self, roots: &[NodeIdx], flags: KeepFlags) -> Vec<Weight> {
        let kept = self.kept(flags);
        let components = Components::of(kept, &self.live(roots, flags));
        let mut weights = Vec::with_capacity(roots.len());
        let mut reached = vec![0u64; self.len()];
        for lanes in roots.chunks(LANES) {
            reached.fill(0);
            for (lane, root) in lanes.iter().enumerate() {
                change(&mut reached, root.0, |mask| mask | 1 << lane);
            }
            let mut by_mask: HashMap<u64, Weight> = HashMap::new();
            for component in components.sources_first() {
                // All that leads into a component comes before it, and its nodes reach each other.
                let mask = component
                    .iter()
                    .fold(0, |mask, &node| mask | at(&reached, node).unwrap_or(0));
                if mask == 0 {
                    continue;
                }
                let weight = by_mask.entry(mask).or_default();
                for &node in component {
                    weight.add(self.weight_of(node));
                    kept.each(node, |next| change(&mut reached, next, |by| by | mask));
                }
            }
            weights.extend((0..lanes.len()).map(|lane| lane_weight(&by_mask, lane)));
        }
        weights
    }
}

fn lane_weight(by_mask: &HashMap<u64, Weight>, lane: usize) -> Weight {
    let mut sum = Weight::default();
    for (mask, weight) in by_mask {
        if mask >> lane & 1 == 1 {
            sum.add(*weight);
        }
    }
    sum
}
