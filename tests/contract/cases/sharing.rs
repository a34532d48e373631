//! An RRset that others have values in.

use maildomain::record::RecordType;

use crate::bench::{Bench, alone, spf};

/// What people and their tools put there, as `dig` shows it.
const FOREIGN: &[&str] = &[
    "\"google-site-verification=abc\"",
    "\"split \" \"somewhere else\"",
    "\"one\" \"two\" \"three\"",
    "\"\"",
    "\"caf\\195\\169 \\226\\130\\172\"",
    "\"quote \\\" and \\\\ backslash\"",
    "\"semi;colon (paren) @ $ORIGIN\"",
    "\"\\000\\001\\255\"",
    "\" blanks  \"",
    "\"MS=ms12345678\"",
];

fn put(bench: &Bench) {
    let lines: Vec<String> = FOREIGN
        .iter()
        .map(|data| format!("add corp.test. 1800 TXT {data}"))
        .collect();
    bench.hand.write("corp.test", &lines);
}

pub fn foreign_values_stay_byte_for_byte(bench: &Bench) {
    put(bench);
    // As the server stores them, not as they were typed.
    let theirs = bench.hand.data("corp.test", "TXT");
    assert_eq!(theirs.len(), FOREIGN.len(), "{theirs:?}");
    for text in ["v=spf1 mx -all", "v=spf1 a mx -all"] {
        bench.publish(&[spf("corp.test", text)]);
        let (ttl, mut now) = bench.hand.see("corp.test", "TXT").unwrap();
        assert!(now.remove(&format!("\"{text}\"")), "{now:?}");
        assert_eq!(now, theirs);
        assert_eq!(ttl, 1800);
    }
    bench.publish(&[]);
    let after = bench.hand.see("corp.test", "TXT").unwrap();
    assert_eq!(after, (1800, theirs));
}

pub fn only_ours_is_removed(bench: &Bench) {
    bench
        .hand
        .add("corp.test", "mail.corp.test", 300, "TXT", "\"theirs\"");
    bench
        .hand
        .add("corp.test", "other.corp.test", 300, "A", "192.0.2.77");
    bench.publish(&[
        spf("mail.corp.test", "v=spf1 a -all"),
        alone("mail.corp.test", RecordType::A, &["192.0.2.1"]),
    ]);
    bench
        .hand
        .add("corp.test", "mail.corp.test", 300, "TXT", "\"later\"");
    bench.publish(&[]);
    bench.stands("mail.corp.test", "TXT", &["\"theirs\"", "\"later\""]);
    bench.stands("mail.corp.test", "A", &[]);
    bench.stands("other.corp.test", "A", &["192.0.2.77"]);
}
