/-
The sum of the first n odd numbers is n^2, and the sum of the first n cubes is the square of a triangular number.
Both statements are proved by induction on the natural number n, without any library of algebra except for the
tactic `ring`, which normalises expressions in a commutative ring.
-/
import Mathlib

open Finset BigOperators

namespace Quickstart

/-- The k-th odd number, starting with `odd 0 = 1`. -/
def odd (k : ℕ) : ℕ := 2 * k + 1

/-- Base case: the empty sum is zero. Inductive step: n^2 + (2n + 1) = (n + 1)^2. -/
theorem sum_odd (n : ℕ) : ∑ k ∈ range n, odd k = n ^ 2 := by
  induction n with
  | zero => simp
  | succ n ih =>
    rw [sum_range_succ, ih]
    unfold odd
    ring

/-- The triangular number 0 + 1 + ... + n, defined by recursion so that no division is needed. -/
def triangle : ℕ → ℕ
  | 0 => 0
  | n + 1 => triangle n + (n + 1)

/-- Twice a triangular number is the product n * (n + 1). -/
theorem two_mul_triangle (n : ℕ) : 2 * triangle n = n * (n + 1) := by
  induction n with
  | zero => rfl
  | succ n ih =>
    have step : 2 * triangle (n + 1) = 2 * triangle n + 2 * (n + 1) := by
      unfold triangle
      ring
    rw [step, ih]
    ring

/-- The sum of cubes: 0^3 + 1^3 + ... + n^3 equals the square of the triangular number.
In the inductive step the difference of squares is (n+1) * (2 * triangle n + n + 1) = (n+1)^3. -/
theorem sum_cubes (n : ℕ) : ∑ k ∈ range (n + 1), k ^ 3 = triangle n ^ 2 := by
  induction n with
  | zero => simp [triangle]
  | succ n ih =>
    rw [sum_range_succ, ih]
    have h := two_mul_triangle n
    unfold triangle
    calc triangle n ^ 2 + (n + 1) ^ 3
        = triangle n ^ 2 + (n * (n + 1)) * (n + 1) + (n + 1) ^ 2 := by ring
      _ = triangle n ^ 2 + (2 * triangle n) * (n + 1) + (n + 1) ^ 2 := by rw [h]
      _ = (triangle n + (n + 1)) ^ 2 := by ring

end Quickstart
