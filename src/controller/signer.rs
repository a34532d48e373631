//! DKIMSigner: its output Secret holds the proven keys of the MailDomains that it selects. (client)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::controller::Action;

use super::book::Book;
use super::keys::{Held, PRIVATE_KEY};
use super::{Context, Error, clock};
use crate::api::{
    DKIMSigner, DKIMSignerStatus, KeyLife, KeyStage, MANAGED_BY, MailDomain, MailDomainStatus, Predecessor,
    Truth,
};
use crate::intent::{self, Intent, KeySource};
use crate::key::PrivateKey;
use crate::keyring::secret_name;
use crate::name::{Name, Selector};
use crate::output::{ProvenKey, any_can_use, file_name, render};
use crate::status::condition;

/// Whose output the Secret is.
const SIGNER: &str = "maildomain.dev/signer";

/// Writes the output of one signer.
pub async fn reconcile(object: Arc<DKIMSigner>, ctx: Arc<Context>) -> Result<Action, Error> {
    let began = std::time::Instant::now();
    let result = pass(&ctx, &object).await;
    if result.is_ok() {
        ctx.forget_failures(&failing(&object));
    }
    let label = result.as_ref().map_or_else(Error::category, |()| "ok");
    ctx.metrics
        .reconciled("DKIMSigner", label, began.elapsed().as_secs_f64());
    result.map(|()| Action::requeue(ctx.config.recheck_interval))
}

async fn pass(ctx: &Context, object: &DKIMSigner) -> Result<(), Error> {
    let namespace = object.namespace().ok_or(Error::Incomplete("namespace"))?;
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let secrets: Api<Secret> = Api::namespaced(ctx.client.clone(), &namespace);
    // Before the ledgers: a pass that saw an old ledger then fails at the version of what a newer one wrote.
    let stored = secrets
        .get_opt(&object.spec.secret_name)
        .await
        .map_err(Error::read("the output Secret"))?;
    if stored.as_ref().is_some_and(|secret| !is_ours(secret, object)) {
        ctx.set_output(&namespace, &object.name_any(), BTreeSet::new());
        let message = format!(
            "the Secret {} exists and is not this signer's output; delete it or name another",
            object.spec.secret_name
        );
        return say(ctx, object, 0, (Truth::False, "SecretTaken", &message)).await;
    }
    let keys = proven_keys(ctx, object, &namespace, stored.as_ref()).await?;
    let mount_path = object.spec.mount_path.as_deref().unwrap_or("/etc/dkim");
    let files = render(&keys, &object.spec.formats, mount_path);
    write(&secrets, object, stored, files).await?;
    let held = keys
        .iter()
        .filter(|key| any_can_use(&object.spec.formats, key.algorithm));
    let held: BTreeSet<(Name, Selector)> = held
        .map(|key| (key.domain.clone(), key.selector.clone()))
        .collect();
    let count = i32::try_from(held.len()).unwrap_or(i32::MAX);
    ctx.set_output(&namespace, &object.name_any(), held);
    let verdict = if count > 0 {
        (
            Truth::True,
            "Written",
            "the output Secret holds every proven key that is selected",
        )
    } else {
        (
            Truth::False,
            "NoKeys",
            "no selected MailDomain has a proven key yet",
        )
    };
    say(ctx, object, count, verdict).await
}

fn is_ours(secret: &Secret, signer: &DKIMSigner) -> bool {
    secret
        .labels()
        .get(MANAGED_BY.0)
        .is_some_and(|v| v == MANAGED_BY.1)
        && secret
            .annotations()
            .get(SIGNER)
            .is_some_and(|name| name == &signer.name_any())
}

/// The keys with a proof in the ledger, of the MailDomains that are selected.
async fn proven_keys(
    ctx: &Context,
    signer: &DKIMSigner,
    namespace: &str,
    stored: Option<&Secret>,
) -> Result<BTreeSet<ProvenKey>, Error> {
    let mut keys = BTreeSet::new();
    for domain in ctx.domains() {
        let selected = domain.namespace().as_deref() == Some(namespace)
            && crate::tenancy::selects(&signer.spec.mail_domain_selector, domain.labels());
        let Ok(intent) = intent::parse(&domain.spec) else {
            continue;
        };
        if selected {
            keys.extend(keys_of(ctx, signer, stored, namespace, &domain, &intent).await?);
        }
    }
    Ok(keys)
}

async fn keys_of(
    ctx: &Context,
    signer: &DKIMSigner,
    stored: Option<&Secret>,
    namespace: &str,
    object: &MailDomain,
    intent: &Intent,
) -> Result<Vec<ProvenKey>, Error> {
    let book = Book::read(ctx, &intent.domain).await?;
    // A domain that is only observed may have no ledger and get none: the output keeps what it holds, and gets nothing.
    if book.is_new() && !intent.conduct.leaves_traces() {
        return Ok(copies(stored, object, &intent.domain));
    }
    // Somebody deleted the ledger. It is about to be written anew; until then the output keeps what it holds.
    let signs = |status: &MailDomainStatus| status.keys.iter().any(|key| key.stage >= KeyStage::Proven);
    if book.is_new() && object.status.as_ref().is_some_and(signs) {
        return Err(Error::Incomplete("ledger, though keys of it are proven"));
    }
    // A ledger of another namespace proves nothing here: its selectors are not ours.
    if book
        .holder
        .as_ref()
        .is_none_or(|holder| holder.namespace != namespace)
    {
        return Ok(Vec::new());
    }
    let mut keys = Vec::new();
    let mut declared = Vec::new();
    for sender in intent.senders.iter().filter(|s| {
        signer
            .spec
            .sender_name
            .as_ref()
            .is_none_or(|name| name == &s.name)
    }) {
        declared.extend(
            sender
                .keys
                .iter()
                .map(|key| (format!("{}/{}", sender.name, key.name), key)),
        );
    }
    for (id, key) in declared {
        let Some((life, (selector, record))) = book.lives.get(&id).and_then(|l| Some((l, signs_with(l)?)))
        else {
            continue;
        };
        let secret = match &key.source {
            KeySource::Generate { .. } => Some((secret_name(&object.name_any(), &selector), PRIVATE_KEY)),
            KeySource::Import { secret, entry, .. } => Some((secret.clone(), entry.as_str())),
            KeySource::PublicKey { .. } | KeySource::Delegate { .. } => None,
        };
        let mut pair = None;
        if let Some((secret, entry)) = secret.filter(|_| life.proven.is_some()) {
            pair = read_pair(ctx, namespace, &secret, entry).await?;
        }
        // Never sign with a key that is not the one that was proven. The output's own copy is as good as the Secret,
        // which may be gone or hold another key by now.
        let copy = || copy(stored, &intent.domain, &selector);
        let is_it = |pair: &PrivateKey| pair.public().record_text() == record;
        if let Some(pair) = pair.filter(is_it).or_else(|| copy().filter(is_it)) {
            keys.push(proven(&intent.domain, selector, &pair));
        }
    }
    Ok(keys)
}

/// What mail is signed with: the key itself once it is proven, until then the one that it replaces. Selector and text of
/// the record.
fn signs_with(life: &KeyLife) -> Option<(Selector, &str)> {
    let (selector, record) = match (&life.proven, &life.predecessor) {
        (Some(_), _) => (life.selector.as_ref()?, life.record.as_ref()?),
        (None, Some(Predecessor { selector, record })) => (selector, record),
        (None, None) => return None,
    };
    Some((Selector::parse(selector).ok()?, record))
}

fn pair_of(file: &ByteString) -> Option<PrivateKey> {
    PrivateKey::from_pem(std::str::from_utf8(&file.0).ok()?).ok()
}

/// The output's own copy of a key.
fn copy(stored: Option<&Secret>, domain: &Name, selector: &Selector) -> Option<PrivateKey> {
    pair_of(stored?.data.as_ref()?.get(&file_name(domain, selector))?)
}

/// The output's own copies of the keys that the status calls proven.
fn copies(stored: Option<&Secret>, object: &MailDomain, domain: &Name) -> Vec<ProvenKey> {
    let keys = object.status.iter().flat_map(|status| &status.keys);
    keys.filter(|key| key.stage >= KeyStage::Proven)
        .filter_map(|key| {
            let selector = Selector::parse(&key.selector).ok()?;
            let pair = copy(stored, domain, &selector)?;
            let same = key.fingerprint.as_deref() == Some(pair.public().fingerprint().as_str());
            same.then(|| proven(domain, selector, &pair))
        })
        .collect()
}

fn proven(domain: &Name, selector: Selector, pair: &PrivateKey) -> ProvenKey {
    ProvenKey {
        domain: domain.clone(),
        selector,
        algorithm: pair.public().algorithm(),
        pem: pair.pem().to_owned(),
    }
}

/// Takes keys that are not proven any more out of the outputs of the signers that may hold them: before their records
/// change, nobody may sign with them.
pub async fn retract(
    ctx: &Context,
    object: &MailDomain,
    domain: &Name,
    held: &[Held],
    book: &Book,
) -> Result<(), Error> {
    let namespace = object.namespace().ok_or(Error::Incomplete("namespace"))?;
    let unproven = held.iter().map(|held| &held.slot).filter(|slot| {
        let life = book.lives.get(&slot.id);
        slot.origin.is_signed_with() && life.is_none_or(|life| life.proven.is_none())
    });
    let mut signers = BTreeMap::new();
    for slot in unproven {
        let key = (domain.clone(), slot.selector.clone());
        let may_hold =
            |signer: &Arc<DKIMSigner>| ctx.output_holds(&namespace, &signer.name_any(), &key) != Some(false);
        let found = ctx.signers_of(object, &slot.sender).into_iter().filter(may_hold);
        signers.extend(found.map(|signer| (signer.name_any(), signer)));
    }
    for signer in signers.values() {
        pass(ctx, signer).await?;
    }
    Ok(())
}

impl Context {
    /// The signers that take the keys of a sender.
    pub(super) fn signers_of(&self, object: &MailDomain, sender: &str) -> Vec<Arc<DKIMSigner>> {
        let selects = |signer: &Arc<DKIMSigner>| {
            signer.namespace() == object.namespace()
                && crate::tenancy::selects(&signer.spec.mail_domain_selector, object.labels())
                && signer.spec.sender_name.as_ref().is_none_or(|name| name == sender)
        };
        self.signers().into_iter().filter(selects).collect()
    }
}

async fn read_pair(
    ctx: &Context,
    namespace: &str,
    secret: &str,
    entry: &str,
) -> Result<Option<PrivateKey>, Error> {
    let secrets: Api<Secret> = Api::namespaced(ctx.client.clone(), namespace);
    let stored = secrets
        .get_opt(secret)
        .await
        .map_err(Error::read("a key Secret"))?;
    Ok(stored
        .and_then(|s| s.data)
        .and_then(|data| pair_of(data.get(entry)?)))
}

/// Selector and key change in a single write. At rest nothing is written.
async fn write(
    secrets: &Api<Secret>,
    signer: &DKIMSigner,
    stored: Option<Secret>,
    files: BTreeMap<String, String>,
) -> Result<(), Error> {
    let name = &signer.spec.secret_name;
    let params = PostParams::default();
    let Some(mut stored) = stored else {
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                labels: Some(BTreeMap::from([(
                    MANAGED_BY.0.to_owned(),
                    MANAGED_BY.1.to_owned(),
                )])),
                annotations: Some(BTreeMap::from([(SIGNER.to_owned(), signer.name_any())])),
                ..ObjectMeta::default()
            },
            string_data: Some(files),
            ..Secret::default()
        };
        return secrets
            .create(&params, &secret)
            .await
            .map(drop)
            .map_err(Error::write("the output Secret"));
    };
    let there: BTreeMap<String, Vec<u8>> = stored
        .data
        .take()
        .unwrap_or_default()
        .into_iter()
        .map(|(k, v)| (k, v.0))
        .collect();
    if files
        .iter()
        .map(|(k, v)| (k.clone(), v.as_bytes().to_vec()))
        .eq(there)
    {
        return Ok(());
    }
    stored.string_data = Some(files);
    secrets
        .replace(name, &params, &stored)
        .await
        .map(drop)
        .map_err(Error::write("the output Secret"))
}

async fn say(
    ctx: &Context,
    object: &DKIMSigner,
    keys: i32,
    (truth, reason, message): (Truth, &str, &str),
) -> Result<(), Error> {
    let old = object.status.clone().unwrap_or_default();
    let ready = condition(
        &old.conditions,
        "Ready",
        truth,
        reason,
        message,
        object.metadata.generation,
        clock(),
    );
    let status = DKIMSignerStatus {
        observed_generation: object.metadata.generation,
        keys: Some(keys),
        conditions: vec![ready],
    };
    if old == status {
        return Ok(());
    }
    let api: Api<DKIMSigner> = Api::namespaced(
        ctx.client.clone(),
        &object.namespace().ok_or(Error::Incomplete("namespace"))?,
    );
    let patch = serde_json::json!({"metadata": {"uid": object.uid()}, "status": status});
    match api
        .patch_status(&object.name_any(), &PatchParams::default(), &Patch::Merge(&patch))
        .await
    {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(error)) if error.is_conflict() || error.is_not_found() => Ok(()),
        Err(error) => Err(Error::write("the status of a DKIMSigner")(error)),
    }
}

/// Under which name failures are counted.
fn failing(object: &DKIMSigner) -> String {
    format!("signer/{}", object.uid().unwrap_or_default())
}

/// Tried again ever later, one minute at most.
pub fn error_policy(object: Arc<DKIMSigner>, error: &Error, ctx: Arc<Context>) -> Action {
    let failures = ctx.count_failure(&failing(&object));
    tracing::warn!(
        object.namespace = object.namespace().unwrap_or_default(),
        object.name = object.name_any(),
        error = super::error::chain(error),
        "the output Secret was not written"
    );
    Action::requeue(Duration::from_secs(1 << failures.min(6)))
}
