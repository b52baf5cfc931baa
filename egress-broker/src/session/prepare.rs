//! What is made before the worker serves: nothing of it depends on what the worker says.

use std::{
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixListener,
    },
    path::Path,
    sync::Arc,
};

use super::{Link, Placed, SessionError, error::failed};
use crate::{
    ender::Ender,
    held_sockets::HeldSockets,
    host::{Barred, Cgroup, Host, Listeners, STATUS_PLACE, StatusSocket},
    inject::Injector,
    kernel::{Destroyer, Devices, KernelError, Loaded, MapSet},
    launch::{Init, Signals, Terminal, check_stdio, check_stdio_devices},
    message::{Given, Tell},
    order::Order,
    points::reach,
    sys,
};

/// What was made. The order of the fields is that in which they go.
pub(super) struct Made {
    pub(super) sandbox: u64,
    pub(super) ender: Arc<Ender>,
    pub(super) sockets: HeldSockets,
    pub(super) signals: Signals,
    pub(super) init: Init,
    pub(super) maps: MapSet,
    /// Those that the kernel knows; none where our /proc shows processes alone.
    pub(super) devices: Option<Devices>,
    _status: Option<StatusSocket>,
    pub(super) place: Placed,
    /// Given back as the last: whoever waits for it is not to see the command's terminal.
    pub(super) terminal: Option<Terminal>,
}

/// Makes the sandbox of an order and hands it to the worker.
///
/// # Errors
/// Why not; nothing of it is left then.
pub(super) fn make(order: &Order, link: &mut Link) -> Result<Made, SessionError> {
    let signals = Signals::block().map_err(failed("block signals"))?;
    let terminal = Terminal::of_caller();
    let host = Host::prepare()?;
    let loaded = Loaded::load().map_err(not_loaded)?;
    reach("broker:loaded");
    let chooses_errno = loaded.chooses_errno();
    let (programs, maps) = loaded.take()?;
    sys::process::return_freed_memory();
    check_stdio()?;
    let devices = Devices::known(Path::new("/proc")).ok();
    devices.as_ref().map_or(Ok(()), check_stdio_devices)?;
    let cgroup = Cgroup::create(&host.cgroup2, &host.pins)?;
    let sandbox = cgroup.id()?;
    reach("broker:cgroup");
    // As many as the kernel side has rings for.
    let (workers, listeners6) = (maps.rings().len(), order.listeners6 as usize);
    let listeners = Listeners::open(workers, listeners6, 1)?;
    let attached = programs.attach(sandbox, cgroup.outer(), &host.pins.join(cgroup.name()))?;
    reach("broker:attached");
    let place = Placed { cgroup, attached, is_removed: false };
    let init = Init::spawn_with(&place.cgroup, &order.command, order.inherited)?;
    reach("broker:init");
    let injector = Injector::open().ok();
    let is_alive = |id: &str| place.cgroup.has_neighbour(id);
    let status = StatusSocket::open(STATUS_PLACE.as_ref(), place.cgroup.name(), is_alive);
    let status_error = status.as_ref().err().map(ToString::to_string).unwrap_or_default();
    let (status, listener) = status.ok().unzip();
    let raw = injector.as_ref().map(Injector::descriptors).unwrap_or_default();
    let count = |all: usize| u8::try_from(all).unwrap_or(u8::MAX);
    let given = Given {
        sandbox,
        name: place.cgroup.name().to_owned(),
        judges_hellos: maps.judges_hellos,
        chooses_errno,
        can_end: Destroyer::open().is_ok(),
        maps: count(maps.all().len()),
        tcp4: count(listeners.v4.tcp.len()),
        tcp6: count(listeners.v6.as_ref().map_or(0, |v6| v6.tcp.len())),
        raw: count(raw.len()),
        status_error,
    };
    let descriptors: Vec<BorrowedFd<'_>> = maps
        .all()
        .iter()
        .map(AsFd::as_fd)
        .chain(listeners.descriptors())
        .chain(raw)
        .chain(listener.as_ref().map(UnixListener::as_fd))
        .collect();
    link.give(&Tell::Given(given), &descriptors)?;
    reach("broker:given");
    // The listeners are the worker's alone from here on: where it dies, nobody has their ports.
    drop(descriptors);
    let ender = Ender::new(sandbox, &maps)?;
    let sockets = HeldSockets::of(place.cgroup.inner());
    Ok(Made {
        sandbox,
        ender,
        sockets,
        signals,
        init,
        maps,
        devices,
        _status: status,
        place,
        terminal,
    })
}

fn not_loaded(error: KernelError) -> SessionError {
    match error.is_not_permitted() {
        true => SessionError::NotPermitted { barred: Barred::of_this_process(), source: error },
        false => error.into(),
    }
}
