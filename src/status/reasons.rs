//! The closed list of reasons.

/// Every reason that is not the name of a check, with what it means. A check `spf-present` that decides a condition
/// gives the reason `SpfPresent`.
pub const REASONS: &[(&str, &str)] = &[
    ("AsDeclared", "Everything that the condition asks for holds."),
    (
        "SpecInvalid",
        "A field of spec cannot be used; the message names it and the fix. Nothing was changed.",
    ),
    ("ClaimHeld", "Another namespace holds the claim of this domain."),
    (
        "ClaimMissing",
        "Claims are made by administrators here, and none exists for this domain.",
    ),
    (
        "DuplicateDomain",
        "An older MailDomain of this namespace declares the same domain.",
    ),
    (
        "ProviderMissing",
        "A provider that spec.publishing.providerRefs names does not exist.",
    ),
    (
        "NotAllowed",
        "The provider does not allow this namespace to publish the name.",
    ),
    ("NoProvider", "No provider serves a zone that holds the name."),
    (
        "NameConflict",
        "The name belongs to a deeper claim of another namespace.",
    ),
    (
        "OutsideDomain",
        "The name lies outside the declared domain, so it is never written.",
    ),
    (
        "OwnedElsewhere",
        "Another operator wrote the owner text of the domain last, so nothing is written; the message says whose it is and how to take over.",
    ),
    (
        "Conflict",
        "Something foreign stands at the name, or another hand keeps changing a record of ours; the message has the line to paste.",
    ),
    (
        "Drift",
        "A record of ours was changed by another hand. It is mended, unless spec.publishing.drift is Report.",
    ),
    (
        "DeletionsHeld",
        "More of our records than a few would go without a change of the declaration. They stay until somebody acknowledges it.",
    ),
    (
        "Retiring",
        "Stays for a while after it is declared no more, see spec.publishing.retireAfter.",
    ),
    (
        "ByHand",
        "Mode Manual: somebody has to add or change the record; the row of status.records has the line to paste.",
    ),
    (
        "Suspended",
        "spec.suspend is true: nothing is written at providers and no key is made.",
    ),
    ("Propagating", "Handed to ExternalDNS, not in DNS yet."),
    (
        "NobodyWatches",
        "No ExternalDNS has read the DNSEndpoint: none runs for it, or its provider refuses its credentials from the beginning.",
    ),
    (
        "NewHomeUnproven",
        "Records move, and the name servers of the new zone do not all answer with them yet.",
    ),
    (
        "AwaitingDelegation",
        "Records move and stand at both homes; the zone above still names the old name servers.",
    ),
    (
        "DelegationUnknown",
        "Records move, and nobody could be asked to whom the zone is delegated.",
    ),
    (
        "AwaitingCaches",
        "Records have moved; the copies at the old home stay until caches have forgotten its name servers.",
    ),
    (
        "OldHomeUnreadable",
        "Records have moved, and the provider that they left cannot be read, so the copies there stay.",
    ),
    (
        "ReadingStopped",
        "ExternalDNS has read an earlier version of the DNSEndpoint but not this one: it runs no more, or its provider lets it list nothing.",
    ),
    (
        "TypeNotManaged",
        "ExternalDNS runs without this type in --managed-record-types.",
    ),
    (
        "ForeignOwner",
        "The name holds records that ExternalDNS does not own, so it refuses to add to them.",
    ),
    (
        "TextForm",
        "The provider behind ExternalDNS wants TXT values in the other form.",
    ),
    (
        "ZoneFiltered",
        "Nothing of the zone appears: ExternalDNS runs without it in --domain-filter, or its provider refuses every change; its log has to say which.",
    ),
    (
        "Unexplained",
        "ExternalDNS has read the DNSEndpoint, the record is not in DNS, and its log has to say why.",
    ),
    (
        "ProviderUnreachable",
        "The provider does not answer; nothing is concluded from that.",
    ),
    ("CredentialsRefused", "The provider refuses the credentials."),
    (
        "CredentialsMissing",
        "The Secret with the credentials, or its key, does not exist.",
    ),
    ("ZoneMissing", "The provider does not serve the zone."),
    (
        "ChangeRefused",
        "The provider understood the change and refused it.",
    ),
    ("Throttled", "The provider asked to wait."),
    (
        "Raced",
        "Somebody changed the record between our reading and writing; it is tried again.",
    ),
    ("ProviderUnreadable", "The provider's answer could not be read."),
    ("Unsupported", "The provider cannot store this record."),
    ("EndpointRefused", "The DNSEndpoint could not be written."),
    (
        "EndpointTaken",
        "The DNSEndpoint that the operator would write belongs to somebody else.",
    ),
    (
        "ServerUnknown",
        "PowerDNS has no server with the id of the provider object.",
    ),
    (
        "ClusterRefused",
        "The cluster's own API does not let the operator publish; its roles are incomplete.",
    ),
    ("Misconfigured", "The provider object cannot be used as it is."),
    ("NotApplied", "The provider was not called in this pass."),
    (
        "Missing",
        "An authoritative server has no such record, or in mode Observe none stands there.",
    ),
    (
        "Different",
        "An authoritative server answers something else, or in mode Observe something else stands there.",
    ),
    ("Unreachable", "No authoritative server answers."),
    ("KeyPending", "A key is being made, or its Secret cannot be read."),
    (
        "KeyNotMade",
        "A declared key does not exist, and none is made in mode Observe or while spec.suspend is true.",
    ),
    (
        "KeyNotProven",
        "Not every authoritative server has answered with the key twice.",
    ),
    (
        "KeyNotInSigner",
        "A proven key is not in the output of a signer that selects it.",
    ),
    (
        "PolicyHeld",
        "The declared DMARC policy is held back until every sender is proven.",
    ),
    (
        "Stale",
        "Nobody could be asked; the verdict before is kept for a while.",
    ),
    ("NotAsked", "Nobody could be asked."),
    ("Waiting", "Something is on its way; see the other conditions."),
];
