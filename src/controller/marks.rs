//! What was decided about an entry's values, as the ledger stores it. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::{LedgerMarks, LedgerRetiring};
use crate::plan::{Marks, War};
use crate::record::{RecordType, Value, Values};

/// As the plan uses it. A value that does not parse was written by a later version; its record is foreign.
pub(super) fn read(record_type: RecordType, stored: LedgerMarks) -> Marks {
    let LedgerMarks {
        released,
        held,
        retiring,
        reverts,
        reverts_generation,
    } = stored;
    let values = |texts: Vec<String>| {
        let parsed = texts.iter().filter_map(|text| Value::parse(record_type, text));
        parsed.collect::<Values>()
    };
    Marks {
        released: values(released),
        held: values(held),
        retiring: retiring
            .into_iter()
            .map(|LedgerRetiring { what, until }| (what, until.0))
            .collect(),
        war: War {
            generation: reverts_generation.unwrap_or_default(),
            reverts: reverts.into_iter().map(|time| time.0).collect(),
        },
    }
}

/// As the ledger stores it; nothing where there is nothing to store.
pub(super) fn write(marks: &Marks) -> Option<LedgerMarks> {
    let Marks {
        released,
        held,
        retiring,
        war: War { generation, reverts },
    } = marks;
    let texts = |values: &Values| values.iter().map(ToString::to_string).collect();
    let stored = LedgerMarks {
        released: texts(released),
        held: texts(held),
        retiring: retiring
            .iter()
            .map(|(what, until)| LedgerRetiring {
                what: what.clone(),
                until: Time(*until),
            })
            .collect(),
        reverts: reverts.iter().copied().map(Time).collect(),
        reverts_generation: (!reverts.is_empty()).then_some(*generation),
    };
    (stored != LedgerMarks::default()).then_some(stored)
}
