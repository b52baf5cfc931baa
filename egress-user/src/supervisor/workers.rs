//! Workers: threads with a runtime of their own, on which connections stay from accept to close.

use std::{
    io,
    net::TcpListener,
    sync::{Arc, mpsc},
    thread,
};

use egress_common::sandbox::WORKERS;
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::Notify,
    task::AbortHandle,
};

use crate::{
    confine::{self, Role},
    proxy::{Outbound, Transparent},
};

/// All of this process. They end when this is dropped.
pub(crate) struct Workers {
    runtimes: Vec<Handle>,
    end: Arc<Notify>,
    /// What the connections on them share.
    pub(crate) outbound: Outbound,
}

impl Workers {
    /// So many, at most [`WORKERS`].
    pub(super) fn start(count: usize) -> io::Result<Self> {
        let end = Arc::new(Notify::new());
        let count = count.clamp(1, WORKERS);
        let started = (0..count).map(|_| start(end.clone())).collect::<io::Result<_>>()?;
        Ok(Self { runtimes: started, end, outbound: Outbound::default() })
    }

    pub(crate) fn count(&self) -> usize {
        self.runtimes.len()
    }

    /// Does something for each worker, within its runtime.
    pub(super) fn each<T>(
        &self,
        of_each: Vec<T>,
        mut work: impl FnMut(T) -> io::Result<()>,
    ) -> io::Result<()> {
        for (its, runtime) in of_each.into_iter().zip(&self.runtimes) {
            let _entered = runtime.enter();
            work(its)?;
        }
        Ok(())
    }

    /// Serves the listeners of a sandbox: those of each family go to the workers in turn.
    ///
    /// # Errors
    /// When a listener cannot be watched.
    pub(crate) fn serve(
        &self,
        proxy: &Arc<Transparent>,
        listeners: Vec<TcpListener>,
    ) -> io::Result<Vec<AbortHandle>> {
        let mut serving = Vec::with_capacity(listeners.len());
        for (listener, runtime) in listeners.into_iter().zip(self.runtimes.iter().cycle()) {
            // Here and not on the worker: the probe tries one of them, and another's listener must not
            // stay without anybody.
            let entered = runtime.enter();
            let listener = tokio::net::TcpListener::from_std(listener)?;
            drop(entered);
            let proxy = proxy.clone();
            let task = runtime.spawn(async move {
                proxy.serve(listener).await;
            });
            serving.push(task.abort_handle());
        }
        Ok(serving)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.end.notify_waiters();
    }
}

/// A runtime for DNS and what the kernel side tells; connections have threads of their own.
///
/// # Errors
/// When it cannot be made, or one of its threads keeps what it has to give up.
pub(super) fn runtime(threads: usize) -> io::Result<Runtime> {
    let (tell, told) = mpsc::channel();
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("egress-runtime")
        .on_thread_start(move || confine::enter_or_tell(Role::Reader, &tell))
        .enable_all()
        .build()?;
    for _ in 0..threads {
        told.recv().map_err(io::Error::other)??;
    }
    Ok(runtime)
}

fn start(end: Arc<Notify>) -> io::Result<Handle> {
    let (tell, started) = mpsc::channel();
    let work = move || {
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = tell.send(Err(error));
                return;
            }
        };
        // From here on it has what connections need: the runtime is made.
        if let Err(error) = confine::enter(Role::Reader) {
            let _ = tell.send(Err(error));
            return;
        }
        runtime.block_on(async {
            let mut ended = std::pin::pin!(end.notified());
            // Before anybody can tell of it.
            ended.as_mut().enable();
            let _ = tell.send(Ok(Handle::current()));
            ended.await;
        });
    };
    thread::Builder::new().name("egress-worker".to_owned()).spawn(work)?;
    started.recv().unwrap_or_else(|_| Err(io::Error::other("the thread ended at once")))
}
