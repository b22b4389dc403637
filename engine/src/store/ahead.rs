//! Requests under way at the same time, whose answers are taken in the order in which they were made.

use std::collections::VecDeque;
use std::future::Future;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

/// Requests that were made, the oldest first. They go on only while somebody waits for one of them.
pub(super) struct Ahead<'a, T>(VecDeque<Request<'a, T>>);

enum Request<'a, T> {
    UnderWay(Pin<Box<dyn Future<Output = T> + Send + 'a>>),
    Answered(T),
}

impl<'a, T> Ahead<'a, T> {
    /// None so far.
    pub(super) fn new() -> Self {
        Self(VecDeque::new())
    }

    /// How many are not taken yet.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Makes one more.
    pub(super) fn push(&mut self, request: impl Future<Output = T> + Send + 'a) {
        self.0.push_back(Request::UnderWay(Box::pin(request)));
    }

    /// The answer to the oldest; `None` when there is none.
    pub(super) async fn next(&mut self) -> Option<T> {
        poll_fn(|context| {
            for request in &mut self.0 {
                if let Request::UnderWay(future) = request
                    && let Poll::Ready(answer) = future.as_mut().poll(context)
                {
                    *request = Request::Answered(answer);
                }
            }
            match self.0.pop_front() {
                None => Poll::Ready(None),
                Some(Request::Answered(answer)) => Poll::Ready(Some(answer)),
                Some(waiting) => {
                    self.0.push_front(waiting);
                    Poll::Pending
                }
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn a_later_request_gets_on_while_an_earlier_one_waits_and_is_answered_after_it() {
        let (tell, told) = oneshot::channel();
        let mut ahead: Ahead<'_, u8> = Ahead::new();
        ahead.push(async { told.await.expect("the second tells") });
        ahead.push(async move {
            tell.send(1).expect("the first waits");
            2
        });
        assert_eq!(
            (ahead.len(), ahead.next().await, ahead.next().await, ahead.next().await),
            (2, Some(1), Some(2), None)
        );
    }
}
