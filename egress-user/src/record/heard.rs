//! An observer for tests: it keeps all that it hears.

use std::sync::{Mutex, MutexGuard};

use super::{Event, Observer};

#[derive(Default)]
pub(crate) struct Heard(Mutex<Vec<Event>>);

impl Heard {
    pub(crate) fn events(&self) -> MutexGuard<'_, Vec<Event>> {
        self.0.lock().unwrap()
    }
}

impl Observer for Heard {
    fn on_event(&self, event: &Event) {
        self.events().push(event.clone());
    }
}
