#pragma once
/// Functions of each element: the result has the shape of x. Domain errors give what IEEE says: log(-1) is NaN, log(0)
/// -inf. Saved for backward: x, or the result alone where the derivative follows from it (exp, sqrt).
#include "attend/functional/elementwise.hpp"
#include "attend/kernels/mathematics.hpp"

ATTEND_BEGIN

template <class S, int R>
Variable<S, R> exp(const Variable<S, R>& x) {
  return elementwise("exp", x, mathematics::Exp{});
}
template <class S, int R>
Variable<S, R> log(const Variable<S, R>& x) {
  return elementwise("log", x, mathematics::Log{});
}
template <class S, int R>
Variable<S, R> sqrt(const Variable<S, R>& x) {
  return elementwise("sqrt", x, mathematics::Sqrt{});
}
template <class S, int R>
Variable<S, R> square(const Variable<S, R>& x) {
  return elementwise("square", x, mathematics::Square{});
}
/// |x|; its derivative at 0 is 0.
template <class S, int R>
Variable<S, R> abs(const Variable<S, R>& x) {
  return elementwise("abs", x, mathematics::Abs{});
}
/// x^exponent
template <class S, int R>
Variable<S, R> pow(const Variable<S, R>& x, double exponent) {
  return elementwise("pow", x, mathematics::Pow{exponent});
}
/// min(max(x, low), high); the gradient passes where low <= x <= high.  Throws OptionError unless low <= high.
/// torch.clamp
template <class S, int R>
Variable<S, R> clamp(const Variable<S, R>& x, double low, double high) {
  require<OptionError>(low <= high, "clamp",
                       [&] { return message("low is ", low, "; it must not exceed high = ", high); });
  return elementwise("clamp", x, mathematics::Clamp{low, high});
}

ATTEND_END
