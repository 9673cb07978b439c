//! Values that are costly to compute: computed one at a time, and kept for a while.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The values by key.
#[derive(Debug)]
pub struct Memo<K, V> {
    lifetime: Duration,
    kept: Mutex<BTreeMap<K, (Instant, V)>>,
    turn: Mutex<()>,
}

impl<K: Ord + Clone, V: Clone> Memo<K, V> {
    /// Keeps each value for so long.
    pub fn new(lifetime: Duration) -> Self {
        Self {
            lifetime,
            kept: Mutex::default(),
            turn: Mutex::default(),
        }
    }

    /// The value of a key. Who asks while one is computed waits for it.
    pub fn get(&self, key: &K, compute: impl FnOnce() -> V) -> V {
        if let Some(value) = self.known(key) {
            return value;
        }
        let _turn = lock(&self.turn);
        if let Some(value) = self.known(key) {
            return value;
        }
        let value = compute();
        let mut kept = lock(&self.kept);
        kept.retain(|_, (at, _)| at.elapsed() < self.lifetime);
        kept.insert(key.clone(), (Instant::now(), value.clone()));
        value
    }

    fn known(&self, key: &K) -> Option<V> {
        let kept = lock(&self.kept);
        let (at, value) = kept.get(key)?;
        (at.elapsed() < self.lifetime).then(|| value.clone())
    }
}

/// A thread that panics leaves nothing half done in here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn who_asks_at_the_same_time_gets_one_value() {
        let memo = Memo::new(Duration::from_secs(600));
        let (computed, at_work) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for n in 0..40 {
                let (memo, computed, at_work) = (&memo, &computed, &at_work);
                scope.spawn(move || {
                    let key = n % 2;
                    let value = memo.get(&key, || {
                        assert_eq!(at_work.fetch_add(1, Ordering::SeqCst), 0);
                        std::thread::sleep(Duration::from_millis(20));
                        at_work.fetch_sub(1, Ordering::SeqCst);
                        computed.fetch_add(1, Ordering::SeqCst);
                        key * 10
                    });
                    assert_eq!(value, key * 10);
                });
            }
        });
        assert_eq!(computed.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn old_values_are_computed_again_and_not_kept() {
        let memo = Memo::new(Duration::ZERO);
        assert_eq!(memo.get(&1, || "first"), "first");
        assert_eq!(memo.get(&1, || "second"), "second");
        memo.get(&2, || "other");
        assert_eq!(lock(&memo.kept).len(), 1);
    }
}
