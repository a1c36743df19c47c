"""Primes by the sieve of Eratosthenes, and arithmetic functions that a sieve gives for free.

The sieve removes the multiples of each prime, starting at its square: a composite number n has a prime factor that
is at most the square root of n, so smaller multiples were removed before.
"""

from math import isqrt


def primes_up_to(n: int) -> list[int]:
    """All primes p with p <= n, in increasing order."""
    is_prime = bytearray([1]) * (n + 1)
    is_prime[:2] = b"\x00" * min(2, n + 1)
    for p in range(2, isqrt(n) + 1):
        if is_prime[p]:
            # the multiples p*p, p*(p+1), ...; their number is (n - p*p) // p + 1
            is_prime[p * p :: p] = bytes((n - p * p) // p + 1)
    return [k for k, flag in enumerate(is_prime) if flag]


def smallest_factors(n: int) -> list[int]:
    """A table whose entry k is the smallest prime factor of k, for 2 <= k <= n."""
    table = list(range(n + 1))
    for p in range(2, isqrt(n) + 1):
        if table[p] == p:
            for multiple in range(p * p, n + 1, p):
                if table[multiple] == multiple:
                    table[multiple] = p
    return table


def totients(n: int) -> list[int]:
    """Euler's function phi(k) for 0 <= k <= n.

    phi is multiplicative with phi(p^a) = p^(a-1) * (p - 1). Hence phi(k) is k times the product of (1 - 1/p)
    over the primes p that divide k; the loop applies one factor at a time.
    """
    phi = list(range(n + 1))
    for p in range(2, n + 1):
        if phi[p] == p:  # no smaller prime has touched p, so p is prime
            for multiple in range(p, n + 1, p):
                phi[multiple] -= phi[multiple] // p
    return phi


def moebius(n: int) -> list[int]:
    """The Moebius function mu(k): zero if a square divides k, else (-1) to the number of prime factors."""
    mu = [1] * (n + 1)
    for p in primes_up_to(n):
        for multiple in range(p, n + 1, p):
            mu[multiple] = -mu[multiple]
        for multiple in range(p * p, n + 1, p * p):
            mu[multiple] = 0
    return mu


def check_identities(n: int) -> bool:
    """Verify sum of phi(d) over the divisors d of k equals k, and sum of mu(d) is 1 for k = 1 and 0 otherwise."""
    phi, mu = totients(n), moebius(n)
    for k in range(1, n + 1):
        divisors = [d for d in range(1, k + 1) if k % d == 0]
        if sum(phi[d] for d in divisors) != k or sum(mu[d] for d in divisors) != (k == 1):
            return False
    return True
