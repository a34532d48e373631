//! The keys of the cases: always the same.

use maildomain::api::KeyAlgorithm;
use maildomain::key::PrivateKey;
use maildomain::keyring::{Origin, Slot};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Every RSA key of every case: making one takes seconds in a debug build.
pub(crate) const RSA_PEM: &str = include_str!("../data/rsa.pem");

/// The private half that the Secret of a slot holds. The Secret `missing` does not exist.
pub(crate) fn pair(slot: &Slot) -> Option<PrivateKey> {
    match &slot.origin {
        Origin::Own {
            algorithm: KeyAlgorithm::Ed25519,
            ..
        } => {
            let mut seed = [0; 32];
            seed.iter_mut()
                .zip(slot.id.bytes())
                .for_each(|(seed, byte)| *seed = byte);
            PrivateKey::generate(KeyAlgorithm::Ed25519, 0, &mut StdRng::from_seed(seed)).ok()
        }
        Origin::Imported { secret, .. } if secret == "missing" => None,
        Origin::Own { .. } | Origin::Imported { .. } => Some(PrivateKey::from_pem(RSA_PEM).unwrap()),
        Origin::Public(_) | Origin::Delegated(_) => None,
    }
}
