// SPDX-License-Identifier: Apache-2.0
//! Tasks that must not end: one that panics is reported and started again.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a task that panicked stays away.
const REST: Duration = Duration::from_millis(500);

/// Runs what `make` makes until it returns or `stop` becomes true.
pub(crate) fn supervise<F>(
    name: &'static str,
    mut stop: watch::Receiver<bool>,
    make: impl Fn() -> F + Send + 'static,
) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        loop {
            let mut task = tokio::spawn(make());
            tokio::select! {
                ended = &mut task => match ended {
                    Ok(()) => return,
                    Err(error) => tracing::error!(task = name, %error, "a task ended by a panic; starting it again"),
                },
                () = stopped(&mut stop) => {
                    task.abort();
                    // Only to wait for it: it is meant to be cancelled.
                    let _ = task.await;
                    return;
                }
            }
            tokio::time::sleep(REST).await;
        }
    })
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the manager is gone, which is a stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
}
