//! How a connection ends that is not to go on: what is noted, and what either side is told.

use egress_common::Reason;
use tokio::net::TcpStream;

use super::{
    connection::Connection,
    first_bytes::Stop,
    http1::End,
    refuse::{self, reset},
};
use crate::record::{Event, Seen};

impl Connection<'_> {
    /// Ends a connection of which nothing was forwarded.
    pub(super) async fn stop(&self, stop: Stop) {
        match stop {
            Stop::Refused { refused, http } => {
                // Noted first: the program may end as soon as it has its answer, and the summary
                // is written then.
                self.proxy.sandbox.journal.refused(Event::clone(&refused));
                if http {
                    refuse::forbidden(&self.client, &refused).await;
                } else {
                    reset(&self.client);
                }
            }
            Stop::Malformed(why) => self.malformed(why).await,
            Stop::Gone => reset(&self.client),
        }
    }

    /// Ends a connection whose earlier requests were forwarded and answered.
    pub(super) async fn finish(&self, end: End, server: &TcpStream) {
        match end {
            End::Broken(stop) => {
                reset(server);
                self.stop(stop).await;
            }
            End::Refused(refused) => {
                self.proxy.sandbox.journal.refused(Event::clone(&refused));
                refuse::forbidden(&self.client, &refused).await;
            }
            End::Malformed(why) => self.malformed(why).await,
            End::Finished | End::Tunnel(_) => {}
        }
    }

    async fn malformed(&self, why: &'static str) {
        let refused = self.evidence.refused(Seen::BadHttp(why), Reason::ProtocolNotAllowed);
        self.proxy.sandbox.journal.refused(*refused);
        refuse::malformed(&self.client, why).await;
    }
}
