//! The zones: each is right, or has one trouble. Signed beforehand by BIND's tools, so that every server gets the same signatures.

use std::path::{Path, PathBuf};

use crate::harness::run;

/// What is wrong with a zone or with who serves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing; signed.
    Right,
    /// Nothing; not signed.
    Unsigned,
    /// The signatures are of last year.
    Expired,
    /// Signed with a key that the zone above does not name.
    Bogus,
    /// Not signed any more, and the zone above names a key.
    LeftDs,
    /// One of two servers does not have it.
    Lame,
    /// Neither has.
    AllLame,
    /// The second server has other records.
    Inconsistent,
    /// One answer does not fit into a datagram.
    Truncated,
    /// The same, and neither server takes TCP connections.
    TruncatedWithoutTcp,
    /// Both servers answer a second late. A resolver that knows nothing yet needs several
    /// answers for one.
    Slow,
    /// The second server is silent.
    Silent,
    /// Both are.
    AllSilent,
}

/// In the order of the table.
pub const TROUBLES: [Trouble; 13] = [
    Trouble::Right,
    Trouble::Unsigned,
    Trouble::Expired,
    Trouble::Bogus,
    Trouble::LeftDs,
    Trouble::Lame,
    Trouble::AllLame,
    Trouble::Inconsistent,
    Trouble::Truncated,
    Trouble::TruncatedWithoutTcp,
    Trouble::Slow,
    Trouble::Silent,
    Trouble::AllSilent,
];

impl Trouble {
    /// A label for names, and for the table.
    pub fn label(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Unsigned => "unsigned",
            Self::Expired => "expired",
            Self::Bogus => "bogus",
            Self::LeftDs => "left-ds",
            Self::Lame => "lame",
            Self::AllLame => "all-lame",
            Self::Inconsistent => "inconsistent",
            Self::Truncated => "truncated",
            Self::TruncatedWithoutTcp => "truncated-no-tcp",
            Self::Slow => "slow",
            Self::Silent => "silent",
            Self::AllSilent => "all-silent",
        }
    }

    /// Whether the first and the second server have the zone.
    pub fn is_served(self) -> [bool; 2] {
        [self != Self::AllLame, !matches!(self, Self::Lame | Self::AllLame)]
    }

    fn is_signed(self) -> bool {
        !matches!(self, Self::Unsigned | Self::LeftDs)
    }
}

/// What all of them hold. `KEY` is the public half of a DKIM key.
const RECORDS: &str = "\
@ 300 MX 10 mail
@ 300 TXT \"v=spf1 ip4:203.0.113.4 ~all\"
mail 300 A 203.0.113.4
mail 300 TXT \"v=spf1 a -all\"
s1._domainkey 300 TXT \"v=DKIM1; k=rsa; p=KEY1\" \"KEY2\"
_dmarc 300 TXT \"v=DMARC1; p=none; rua=mailto:report@ZONE\"
";

/// The declaration that they satisfy.
const DECLARED: &str = "\
apiVersion: maildomain.dev/v1alpha1
kind: MailDomain
metadata: {name: corp, namespace: mail, uid: 0b5c2f6e-5d8e-4f57-9a0f-6f1f8b1f0001}
spec:
  domain: ZONE
  publishing: {providerRefs: [{kind: ClusterDNSProvider, name: any}], ttlSeconds: 300}
  hosts:
    - {name: mail.ZONE, purpose: Mail, addresses: [203.0.113.4], reverse: Ignore}
  receiving: {mx: [{host: mail.ZONE, preference: 10}]}
  senders:
    - name: mta
      hosts: [mail.ZONE]
      dkim: {keys: [{name: rsa, publicKey: {selector: s1, algorithm: RSA, value: KEY1KEY2}}]}
  dmarc: {policy: None, aggregateReports: [\"mailto:report@ZONE\"]}
";

/// A zone that was made.
pub struct Zone {
    pub name: String,
    /// Of the first and the second server; `None`: it does not have it.
    pub files: [Option<PathBuf>; 2],
    /// What the zone above says of its key.
    pub ds: Option<String>,
    /// Its MailDomain.
    pub declaration: PathBuf,
}

/// Makes a zone whose two name servers have these addresses.
pub fn make(directory: &Path, name: &str, trouble: Trouble, servers: &[String; 2], key: &str) -> Zone {
    let (first, second) = key.split_at(200);
    let filled = |text: &str| {
        text.replace("KEY1", first)
            .replace("KEY2", second)
            .replace("ZONE", name)
    };
    let [one, two] = servers;
    let mut text = format!(
        "$ORIGIN {name}.\n$TTL 300\n@ SOA ns1 hostmaster 1 3600 600 864000 60\n@ NS ns1\n@ NS ns2\nns1 A {one}\nns2 A {two}\n{}",
        filled(RECORDS)
    );
    if matches!(trouble, Trouble::Truncated | Trouble::TruncatedWithoutTcp) {
        for number in 0..10 {
            text += &format!("@ 300 TXT \"other={number}{}\"\n", "x".repeat(200));
        }
    }
    let other = text
        .replace("ip4:203.0.113.4", "ip4:203.0.113.99")
        .replace("s1._domainkey", "s0._domainkey");
    let second = if trouble == Trouble::Inconsistent {
        other
    } else {
        text.clone()
    };
    let write = |file: &str, text: &str| {
        let path = directory.join(format!("{name}.{file}"));
        std::fs::write(&path, text).expect("a temporary file can be written");
        path
    };
    let plain = [write("first", &text), write("second", &second)];
    let declaration = write("yaml", &filled(DECLARED));
    let (files, ds) = if trouble == Trouble::Unsigned {
        (plain, None)
    } else {
        let key = new_key(directory, name);
        let named = if trouble == Trouble::Bogus {
            // In a place of its own, where the signer does not find it.
            new_key(&directory.join("elsewhere"), name)
        } else {
            key.clone()
        };
        let files = if trouble.is_signed() {
            plain.map(|path| sign(directory, name, &path, trouble))
        } else {
            plain
        };
        (files, Some(ds_of(&named)))
    };
    let served = trouble.is_served();
    let mut files = files
        .into_iter()
        .zip(served)
        .map(|(file, served)| served.then_some(file));
    Zone {
        name: name.to_owned(),
        files: [files.next().flatten(), files.next().flatten()],
        ds,
        declaration,
    }
}

/// Makes a key; gives its file without the ending.
fn new_key(directory: &Path, name: &str) -> PathBuf {
    std::fs::create_dir_all(directory).expect("a temporary directory can be made");
    let place = directory.display().to_string();
    let arguments = ["-q", "-a", "ECDSAP256SHA256", "-f", "KSK", "-K", &place, name];
    directory.join(run("dnssec-keygen", &arguments).trim())
}

fn ds_of(key: &Path) -> String {
    let line = run("dnssec-dsfromkey", &["-2", &key.display().to_string()]);
    let (_, ds) = line.trim().split_once(" DS ").expect("a DS record");
    ds.to_owned()
}

/// Signs a file with the keys that stand in the directory.
fn sign(directory: &Path, name: &str, file: &Path, trouble: Trouble) -> PathBuf {
    let input = file.display().to_string();
    let (place, output) = (directory.display().to_string(), format!("{input}.signed"));
    let mut arguments = vec![
        "-q", "-S", "-P", "-z", "-K", &place, "-d", &place, "-o", name, "-f", &output,
    ];
    if trouble == Trouble::Expired {
        arguments.extend(["-s", "20250101000000", "-e", "20250201000000"]);
    }
    arguments.push(&input);
    run("dnssec-signzone", &arguments);
    PathBuf::from(output)
}
