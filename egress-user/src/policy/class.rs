//! Which addresses are public.
use std::net::IpAddr;

/// Whether the address is public: POLICY section 4.
pub fn is_public(_address: IpAddr) -> bool {
    unimplemented!()
}
