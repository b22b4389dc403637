//! Sorted runs read as one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

/// The items of sorted runs in the order of all of them. After an error it is of no more use.
pub(crate) struct Merged<T, I> {
    runs: Vec<I>,
    /// The first item of every run that is left, with the number of the run.
    heads: BinaryHeap<Reverse<(T, usize)>>,
}

impl<T: Ord, E, I: Iterator<Item = Result<T, E>>> Merged<T, I> {
    /// Reads the first item of each run.
    pub(crate) fn of(mut runs: Vec<I>) -> Result<Self, E> {
        let mut heads = BinaryHeap::with_capacity(runs.len());
        for (number, run) in runs.iter_mut().enumerate() {
            if let Some(first) = run.next() {
                heads.push(Reverse((first?, number)));
            }
        }
        Ok(Self { runs, heads })
    }
}

impl<T: Ord, E, I: Iterator<Item = Result<T, E>>> Iterator for Merged<T, I> {
    type Item = Result<T, E>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut head = self.heads.peek_mut()?;
        let Reverse((_, run)) = &*head;
        let run = *run;
        let Reverse((item, _)) = match self.runs.get_mut(run).and_then(Iterator::next) {
            Some(Ok(next)) => std::mem::replace(&mut *head, Reverse((next, run))),
            Some(Err(error)) => return Some(Err(error)),
            None => PeekMut::pop(head),
        };
        Some(Ok(item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_come_out_in_order_and_whole(mut runs in proptest::collection::vec(any::<Vec<u8>>(), 0..6)) {
            let mut all = runs.concat();
            all.sort_unstable();
            runs.iter_mut().for_each(|run| run.sort_unstable());
            let runs = runs.into_iter().map(|run| run.into_iter().map(Ok::<u8, ()>)).collect();
            let merged: Result<Vec<u8>, ()> = Merged::of(runs).expect("no error").collect();
            prop_assert_eq!(merged, Ok(all));
        }
    }

    #[test]
    fn an_error_of_one_run_is_passed_on() {
        let runs = || vec![vec![Ok(1), Ok(4)].into_iter(), vec![Ok(2), Err("broken")].into_iter()];
        let merged: Result<Vec<u8>, &str> = Merged::of(runs()).expect("the first are sound").collect();
        assert_eq!(merged, Err("broken"));
        assert!(Merged::of(vec![vec![Err::<u8, _>("broken")].into_iter()]).is_err());
    }
}
