//! Whether a key can be guessed, or is somebody else's too.

use super::Seen;
use super::key_text::{KeyText, Material};
use crate::api::Severity;
use crate::finding::{Finding, Gate};
use crate::name::Name;
use crate::protocol::{Check, Evidence};

pub(super) const QUALITY: Check = Check {
    id: "dkim-key-quality",
    title: "keys cannot be guessed and are used once",
    source: "RFC 6376 sections 3.3.3 and 8, CVE-2017-15361",
    gate: Gate::Dkim,
    run: quality,
};

fn quality(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut earlier: Vec<(Name, Material)> = Vec::new();
    for key in evidence.declaration.keys {
        let Some(Seen {
            name,
            texts: Ok(texts),
        }) = Seen::look(evidence, key)
        else {
            continue;
        };
        let [text] = texts.as_slice() else { continue };
        let Some(material) = KeyText::read(text).material else {
            continue;
        };
        if let Some((modulus, exponent)) = material.rsa_numbers() {
            let verdicts = numbers(&modulus, &exponent).map(|(severity, why)| {
                let message = format!(
                    "The key at {name} {why}. Make a new one with another program, under another selector, and stop signing with this one."
                );
                QUALITY.finding(severity, &name, message)
            });
            findings.extend(verdicts);
        }
        if let Some((other, _)) = earlier.iter().find(|(at, seen)| *at != name && *seen == material) {
            let message = format!(
                "{name} and {other} hold one key, so who has it signs for both and neither can be withdrawn alone. Give each its own."
            );
            findings.push(QUALITY.finding(Severity::Warn, &name, message));
        }
        if material.algorithm().is_some() {
            earlier.push((name, material));
        }
    }
    findings
}

/// What is wrong with the numbers of an RSA key.
fn numbers(modulus: &[u8], exponent: &[u8]) -> Option<(Severity, &'static str)> {
    let small = |number: u8| exponent == [number];
    let even = |number: &[u8]| number.last().is_none_or(|octet| octet % 2 == 0);
    if even(exponent) || small(1) {
        return Some((
            Severity::Fail,
            "has an exponent with which nothing can be verified",
        ));
    }
    if even(modulus) || PRIMES.iter().any(|prime| remainder(modulus, *prime) == 0) {
        return Some((
            Severity::Fail,
            "is the product of a small number, so anybody can find the other half",
        ));
    }
    if is_of_infineon(modulus) {
        return Some((
            Severity::Fail,
            "was made by a chip whose keys can be guessed (ROCA)",
        ));
    }
    small(3).then_some((
        Severity::Warn,
        "has the exponent 3, with which careless verifiers are fooled",
    ))
}

/// The odd primes that the fingerprint of CVE-2017-15361 goes by.
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
    107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

fn remainder(number: &[u8], divisor: u32) -> u32 {
    number
        .iter()
        .fold(0, |rest, octet| (rest * 256 + u32::from(*octet)) % divisor)
}

/// The primes of such keys are powers of 65537 to each of these primes, and so is their product. Of other keys one in
/// 2^27 is.
fn is_of_infineon(modulus: &[u8]) -> bool {
    PRIMES.iter().all(|prime| {
        let wanted = remainder(modulus, *prime);
        let mut power = 1;
        (0..*prime).any(|_| {
            power = power * 65_537 % prime;
            power == wanted
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples::RSA_2048;
    use super::*;

    /// 65537 to the `times`-th power, as octets.
    fn power_of_65537(times: usize) -> Vec<u8> {
        let mut octets = vec![1];
        for _ in 0..times {
            // times 2^16, plus itself
            let shifted: Vec<u8> = octets.iter().copied().chain([0, 0]).collect();
            let mut sum = shifted.clone();
            let mut carry = 0;
            for (index, octet) in sum.iter_mut().rev().enumerate() {
                let own = octets.iter().rev().nth(index).copied().unwrap_or(0);
                let total = u16::from(*octet) + u16::from(own) + carry;
                *octet = u8::try_from(total % 256).unwrap();
                carry = total / 256;
            }
            if carry > 0 {
                sum.insert(0, u8::try_from(carry).unwrap());
            }
            octets = sum;
        }
        octets
    }

    #[test]
    fn keys_of_the_chip_are_told_from_others() {
        assert_eq!(power_of_65537(1), [1, 0, 1]);
        assert!(is_of_infineon(&power_of_65537(128)));
        let mut next = power_of_65537(128);
        *next.last_mut().unwrap() += 2;
        assert!(!is_of_infineon(&next));
    }

    #[test]
    fn weak_numbers_are_named() {
        let material = KeyText::read(&format!("p={RSA_2048}")).material.unwrap();
        let (good, _) = material.rsa_numbers().unwrap();
        let exponent = [1, 0, 1];
        assert_eq!(numbers(&good, &exponent), None);
        assert_eq!(numbers(&good, &[3]).unwrap().0, Severity::Warn);
        assert_eq!(numbers(&good, &[1]).unwrap().0, Severity::Fail);
        assert_eq!(numbers(&good, &[2]).unwrap().0, Severity::Fail);
        assert_eq!(numbers(&[15], &exponent).unwrap().0, Severity::Fail);
    }
}
