//! Map from database row numbers to nodes.

use super::{GraphError, NONE};

/// From row numbers to nodes.
#[derive(Debug)]
pub(super) enum Rows {
    /// A table from the first number on: most databases have few gaps.
    Dense { first: i64, nodes: Vec<u32> },
    /// Sorted pairs, where the gaps would cost more than the paths.
    Sparse(Vec<(i64, u32)>),
}

/// How many numbers a path may cost in the table.
const MAX_GAPS: usize = 16;

impl Rows {
    pub(super) fn new(ids: Vec<i64>) -> Result<Self, GraphError> {
        let (Some(&first), Some(&last)) = (ids.iter().min(), ids.iter().max()) else {
            return Ok(Self::Sparse(Vec::new()));
        };
        let span = last
            .checked_sub(first)
            .and_then(|n| usize::try_from(n).ok());
        match span {
            Some(span) if span / MAX_GAPS < ids.len() => Self::dense(&ids, first, span + 1),
            _ => Self::sparse(ids),
        }
    }

    fn dense(ids: &[i64], first: i64, span: usize) -> Result<Self, GraphError> {
        let mut nodes = vec![NONE; span];
        for (node, &id) in (0u32..).zip(ids) {
            match usize::try_from(id - first)
                .ok()
                .and_then(|at| nodes.get_mut(at))
            {
                Some(slot) if *slot == NONE => *slot = node,
                _ => return Err(GraphError::DuplicateId(id)),
            }
        }
        Ok(Self::Dense { first, nodes })
    }

    fn sparse(ids: Vec<i64>) -> Result<Self, GraphError> {
        let mut pairs: Vec<(i64, u32)> = ids.into_iter().zip(0u32..).collect();
        pairs.sort_unstable();
        for pair in pairs.windows(2) {
            if let [(id, _), (next, _)] = pair
                && id == next
            {
                return Err(GraphError::DuplicateId(*id));
            }
        }
        Ok(Self::Sparse(pairs))
    }

    #[inline]
    pub(super) fn find(&self, id: i64) -> Option<u32> {
        match self {
            Self::Dense { first, nodes } => {
                let at = usize::try_from(id.checked_sub(*first)?).ok()?;
                nodes.get(at).copied().filter(|&node| node != NONE)
            }
            Self::Sparse(pairs) => {
                let at = pairs.binary_search_by_key(&id, |&(id, _)| id).ok()?;
                pairs.get(at).map(|&(_, node)| node)
            }
        }
    }
}
