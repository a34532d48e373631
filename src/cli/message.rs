//! `maildomain check --message`: a received message, judged as its receiver would. (files, network)

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use jiff::Timestamp;

use super::check::{Arguments, Failure, Target};
use super::findings::{self, Block};
use super::inputs::{self, Setting};
use crate::controller::look::settle;
use crate::message::{self, Declared, From, Message};
use crate::name::Selector;

/// More than any server takes.
const LARGEST: u64 = 64 * 1024 * 1024;

/// Reads a message from a file, or from standard input.
pub(super) fn read(path: &Path) -> Result<Message, Failure> {
    let unreadable = |error| inputs::Failure::Read(path.to_owned(), error);
    let mut octets = Vec::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().take(LARGEST).read_to_end(&mut octets)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LARGEST).read_to_end(&mut octets))
    };
    read.map_err(unreadable)?;
    Message::read(&octets).map_err(|why| Failure::Message(path.to_owned(), why))
}

/// The domain in its From: as it is declared, or with the selectors of its signatures. Nothing, where it has none.
pub(super) fn targets(arguments: &Arguments, message: &Message) -> Result<Vec<Target>, Failure> {
    let From::Domain(domain) = message.from() else {
        return Ok(Vec::new());
    };
    if arguments.files.is_empty() {
        let ours = message.signatures().iter();
        let ours = ours.filter(|signature| signature.domain.as_ref() == Some(&domain));
        let selectors: Vec<Selector> = ours
            .filter_map(|signature| Selector::parse(signature.selector.as_ref()?.as_str()).ok())
            .collect();
        return Ok(vec![Target::Observed(domain, selectors)]);
    }
    let mut subjects = inputs::read_all(&arguments.files)?;
    subjects.retain(|subject| subject.declared.intent.domain == domain);
    let subject = subjects.into_iter().next().ok_or(Failure::NotDeclared(domain))?;
    Ok(vec![Target::Declared(Box::new(subject))])
}

/// What is said of the message itself.
pub(super) async fn block(setting: &Setting, message: &Message, target: Option<&Target>) -> Block {
    let subject = match target {
        Some(Target::Declared(subject)) => Some(subject),
        Some(Target::Observed(..)) | None => None,
    };
    let keys = subject.map(|subject| subject.keys()).unwrap_or_default();
    let declared = subject.map(|subject| Declared {
        intent: &subject.declared.intent,
        keys: &keys,
        all_keys_known: subject.unmade().next().is_none(),
    });
    #[expect(clippy::disallowed_methods, reason = "a command's present is when it runs")]
    let now = Timestamp::now().as_second();
    let judge = |facts: &_| message::judge(message, facts, declared, now);
    let (account, _) = settle(&setting.looker, BTreeMap::new(), judge).await;
    findings::of_message(&account)
}
