//! Our side of a schedule: a declaration that changes, and the RRsets that it shares with others or has alone.

use maildomain::protocol::Wanted;
use maildomain::record::{Key, RecordType};

use crate::bench::{TTL, alone, key, spf};
use crate::dice::Dice;

/// Where others may stand beside us.
pub const SHARED: [&str; 2] = ["corp.test", "mail.corp.test"];

/// Every RRset that either side writes to.
pub fn keys() -> Vec<Key> {
    let mut keys: Vec<Key> = SHARED.map(|owner| key(owner, RecordType::Txt)).into();
    keys.extend([
        key("corp.test", RecordType::Mx),
        key("mail.corp.test", RecordType::A),
        key("_dmarc.corp.test", RecordType::Txt),
    ]);
    keys
}

/// Whether others may stand beside us there.
pub fn is_shared(key: &Key) -> bool {
    key.record_type == RecordType::Txt && SHARED.contains(&key.name.as_str())
}

/// What we declare at one time.
#[derive(Debug)]
pub struct Declared {
    pub wanted: Vec<Wanted>,
    pub ttl: u32,
}

impl Declared {
    /// Some declaration; now and then one without a record.
    pub fn any(dice: &mut Dice) -> Self {
        let number = dice.below(200);
        // The MX is outside of the zone: BIND refuses one whose host is in the zone and has no address.
        let all = [
            spf("corp.test", &format!("v=spf1 ip4:192.0.2.{number} -all")),
            spf("mail.corp.test", &format!("v=spf1 a:m{number}.corp.test -all")),
            alone(
                "corp.test",
                RecordType::Mx,
                &[&format!("{number} mail.elsewhere.test.")],
            ),
            alone("mail.corp.test", RecordType::A, &[&format!("192.0.2.{number}")]),
            alone(
                "_dmarc.corp.test",
                RecordType::Txt,
                &[&format!("\"v=DMARC1; p=none; pct={number}\"")],
            ),
        ];
        Self {
            wanted: all.into_iter().filter(|_| dice.percent(85)).collect(),
            ttl: if dice.percent(80) { TTL } else { 2 * TTL },
        }
    }

    pub fn nothing() -> Self {
        Self {
            wanted: Vec::new(),
            ttl: TTL,
        }
    }
}
