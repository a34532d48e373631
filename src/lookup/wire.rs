//! Names and types between ours and the wire's. Pure.

use hickory_proto::rr;

use crate::name::Name;
use crate::record::RecordType;

/// A type as the wire has it.
pub(crate) fn wire_type(record_type: RecordType) -> rr::RecordType {
    match record_type {
        RecordType::A => rr::RecordType::A,
        RecordType::Aaaa => rr::RecordType::AAAA,
        RecordType::Cname => rr::RecordType::CNAME,
        RecordType::Mx => rr::RecordType::MX,
        RecordType::Ptr => rr::RecordType::PTR,
        RecordType::Txt => rr::RecordType::TXT,
        RecordType::Spf => rr::RecordType::Unknown(99),
    }
}

/// A name as the wire has it. `None` cannot happen for a [`Name`]: it has no label over 63 octets.
pub(crate) fn wire_name(name: &Name) -> Option<rr::Name> {
    rr::Name::from_labels(name.labels().map(str::as_bytes)).ok()
}

/// A name of the wire as ours; `None` for the root and for names that [`Name`] does not hold (wildcards, blanks...).
pub(crate) fn our_name(name: &rr::Name) -> Option<Name> {
    Name::parse(&name.to_ascii()).ok()
}
