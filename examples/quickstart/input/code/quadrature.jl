# Numerical integration: the trapezoidal rule, Simpson's rule, and Romberg extrapolation.
#
# The trapezoidal rule T(h) approximates the integral of a smooth function f over [a, b]. By the Euler-Maclaurin
# formula its error is a series in even powers of the step h:  T(h) = I + c2*h^2 + c4*h^4 + ...
# Combining T(h) and T(h/2) eliminates the first term of the error.

"""
    trapezoid(f, a, b, n)

The trapezoidal rule with `n` subintervals: h * (f(x0)/2 + f(x1) + ... + f(x_{n-1}) + f(x_n)/2).
The error is bounded by (b - a) * h^2 / 12 * max|f''|.
"""
function trapezoid(f, a, b, n)
    h = (b - a) / n
    total = (f(a) + f(b)) / 2
    for k in 1:n-1
        total += f(a + k * h)
    end
    return h * total
end

"""
    simpson(f, a, b, n)

Simpson's rule (4*T(h/2) - T(h)) / 3, where T is the trapezoidal rule. It integrates every polynomial of degree at most
three exactly, because the error contains the fourth derivative.
"""
simpson(f, a, b, n) = (4 * trapezoid(f, a, b, 2n) - trapezoid(f, a, b, n)) / 3

"""
    romberg(f, a, b; tol = 1e-12, rows = 20)

Richardson extrapolation of the trapezoidal rule. Row i of the triangular table holds approximations with 2^(i-1)
subintervals; column j has an error of order h^(2j).
"""
function romberg(f, a, b; tol = 1e-12, rows = 20)
    table = zeros(rows, rows)
    table[1, 1] = trapezoid(f, a, b, 1)
    for i in 2:rows
        n = 2^(i - 1)
        h = (b - a) / n
        # reuse the previous sum: only the midpoints are new
        midpoints = sum(f(a + (2k - 1) * h) for k in 1:div(n, 2))
        table[i, 1] = table[i-1, 1] / 2 + h * midpoints
        for j in 2:i
            # the factor 4^(j-1) cancels the term h^(2(j-1)) of the error series
            table[i, j] = table[i, j-1] + (table[i, j-1] - table[i-1, j-1]) / (4.0^(j - 1) - 1)
        end
        abs(table[i, i] - table[i-1, i-1]) < tol && return table[i, i]
    end
    error("no convergence: the integrand may have a singular derivative")
end

# The integral of 4/(1 + x^2) over [0, 1] is pi, since the derivative of arctan x is 1/(1 + x^2).
@assert abs(romberg(x -> 4 / (1 + x^2), 0.0, 1.0) - pi) < 1e-10
# Simpson's rule is exact for cubic polynomials: the integral of x^3 - x over [0, 2] equals 4 - 2 = 2.
@assert abs(simpson(x -> x^3 - x, 0.0, 2.0, 1) - 2) < 1e-12
