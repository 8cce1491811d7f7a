#pragma once
/// +, -, *, / of Variables and with numbers. Two Variables have equal rank; an axis of extent 1 is repeated to the
/// other's extent (NumPy's rule). Gradients of a repeated operand are summed over the repetition, in double. Saved for
/// backward: for + and - nothing, for the rest the operand that the other's gradient needs.  Throws ShapeError where an
/// axis fits neither way.
#include "attend/functional/elementwise.hpp"
#include "attend/kernels/arithmetic.hpp"
#include "attend/kernels/broadcast.hpp"
#include "attend/kernels/mathematics.hpp"

ATTEND_BEGIN

/// y = f(a, b), broadcast, for a function such as those of kernels/arithmetic.hpp.
template <class S, int R, class F>
Variable<S, R> broadcast(const char* name, const Variable<S, R>& a, const Variable<S, R>& b, const F& f) {
  Operation<S> op(name, a, b);
  Shape<R> shape{};
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const Index m = a.shape()[i], n = b.shape()[i];
    op.require(m == n || m == 1 || n == 1, [&] {
      return message("b has shape ", b.shape(), "; axis ", i, " must be ", m, ", as in a's ", a.shape(), ", or 1");
    });
    shape[i] = m == 1 ? n : m;
  }
  const auto y = op.result(shape);
  const Broadcast steps(a.shape(), b.shape());
  broadcast_forward(steps, f, a.data(), b.data(), op.data(y));
  if (op.records()) {
    const Slot da = op.slot(a), db = op.slot(b);
    constexpr bool both =
        F::uses_a && F::uses_b && !std::is_same_v<F, arithmetic::Multiply>;  // a product's need the other only
    op.record(y, [=, dy = op.slot(y), size_a = a.size(), size_b = b.size(),
                  ka = op.keep(a, F::uses_a && (db.differentiable || both)),
                  kb = op.keep(b, F::uses_b && (da.differentiable || both))](Pass<S>& pass) {
      const bool done_a = F::one_by_a && size_a == dy.size && pass.hand_on(dy, da),
                 done_b = F::one_by_b && size_b == dy.size && pass.hand_on(dy, db);
      S *to_a = done_a ? nullptr : pass.add_to(da), *to_b = done_b ? nullptr : pass.add_to(db);
      broadcast_backward(steps, f, ka.get(), kb.get(), pass.of(dy), size_a, size_b, to_a, to_b);
    });
  }
  return y;
}

template <class S, int R>
Variable<S, R> operator+(const Variable<S, R>& a, const Variable<S, R>& b) {
  return broadcast("add", a, b, arithmetic::Add{});
}
template <class S, int R>
Variable<S, R> operator-(const Variable<S, R>& a, const Variable<S, R>& b) {
  return broadcast("subtract", a, b, arithmetic::Subtract{});
}
template <class S, int R>
Variable<S, R> operator*(const Variable<S, R>& a, const Variable<S, R>& b) {
  return broadcast("multiply", a, b, arithmetic::Multiply{});
}
template <class S, int R>
Variable<S, R> operator/(const Variable<S, R>& a, const Variable<S, R>& b) {
  return broadcast("divide", a, b, arithmetic::Divide{});
}
/// The larger of each two; where they are equal, each gets half of the gradient.  torch.maximum
template <class S, int R>
Variable<S, R> maximum(const Variable<S, R>& a, const Variable<S, R>& b) {
  return broadcast("maximum", a, b, arithmetic::Maximum{});
}
/// The smaller of each two; where they are equal, each gets half of the gradient.  torch.minimum
template <class S, int R>
Variable<S, R> minimum(const Variable<S, R>& a, const Variable<S, R>& b) {
  return broadcast("minimum", a, b, arithmetic::Minimum{});
}

// ---- with a number ----
namespace detail {
template <class N>
using Number = std::enable_if_t<std::is_arithmetic_v<N>, int>;
}
template <class S, int R>
Variable<S, R> operator-(const Variable<S, R>& x) {
  return elementwise("negate", x, mathematics::Affine{-1, 0});
}
template <class S, int R, class N, detail::Number<N> = 0>
Variable<S, R> operator+(const Variable<S, R>& x, N n) {
  return elementwise("add", x, mathematics::Affine{1, double(n)});
}
template <class S, int R, class N, detail::Number<N> = 0>
Variable<S, R> operator+(N n, const Variable<S, R>& x) {
  return elementwise("add", x, mathematics::Affine{1, double(n)});
}
template <class S, int R, class N, detail::Number<N> = 0>
Variable<S, R> operator-(const Variable<S, R>& x, N n) {
  return elementwise("subtract", x, mathematics::Affine{1, -double(n)});
}
template <class S, int R, class N, detail::Number<N> = 0>
Variable<S, R> operator-(N n, const Variable<S, R>& x) {
  return elementwise("subtract", x, mathematics::Affine{-1, double(n)});
}
template <class S, int R, class N, detail::Number<N> = 0>
Variable<S, R> operator*(const Variable<S, R>& x, N n) {
  return elementwise("multiply", x, mathematics::Affine{double(n), 0});
}
template <class S, int R, class N, detail::Number<N> = 0>
Variable<S, R> operator*(N n, const Variable<S, R>& x) {
  return elementwise("multiply", x, mathematics::Affine{double(n), 0});
}
template <class S, int R, class N, detail::Number<N> = 0>
Variable<S, R> operator/(const Variable<S, R>& x, N n) {
  return elementwise("divide", x, mathematics::Divided{double(n)});
}
template <class S, int R, class N, detail::Number<N> = 0>
Variable<S, R> operator/(N n, const Variable<S, R>& x) {
  return elementwise("divide", x, mathematics::Quotient{double(n)});
}

/// Inner product of all elements: (...), (...) -> ().  Saves both. Throws ShapeError unless the shapes are equal.
template <class S, int R>
Variable<S, 0> dot(const Variable<S, R>& a, const Variable<S, R>& b) {
  Operation<S> op("dot", a, b);
  op.require(a.shape() == b.shape(),
             [&] { return message("b has shape ", b.shape(), "; it must equal a's ", a.shape()); });
  const auto y = op.result(Shape<0>{});
  *op.data(y) = inner_product(a.size(), a.data(), b.data());
  if (op.records()) {
    const Slot da = op.slot(a), db = op.slot(b);
    op.record(
        y, [=, dy = op.slot(y), as = op.keep(a, db.differentiable), bs = op.keep(b, da.differentiable)](Pass<S>& pass) {
          const S g = *pass.of(dy);
          const auto add = [&](const Slot& d, const S* other) {
            if (S* to = pass.add_to(d)) add_scaled(d.size, g, other, to);
          };
          add(da, bs.get());
          add(db, as.get());
        });
  }
  return y;
}

ATTEND_END
