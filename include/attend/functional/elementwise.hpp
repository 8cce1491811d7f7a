#pragma once
#include <cstring>
#include <memory>
#include <type_traits>

#include "attend/autograd/operation.hpp"
#include "attend/kernels/elementwise.hpp"

ATTEND_BEGIN
namespace detail {

/// A copy of a function object, whatever its type: small ones lie in line.
class KeptFunction {
 public:
  template <class F>
  explicit KeptFunction(const F& f) {
    if constexpr (std::is_trivially_copyable_v<F> && sizeof(F) <= sizeof(in_line_) && alignof(F) <= alignof(double))
      std::memcpy(in_line_, &f, sizeof(F));
    else
      apart_ = std::make_shared<const F>(f);
  }
  const void* get() const { return apart_ ? apart_.get() : in_line_; }

 private:
  alignas(double) unsigned char in_line_[2 * sizeof(double)] = {};
  Shared<const void> apart_;
};

/// What is compiled once for all functions.
template <class S, int R>
Variable<S, R> elementwise(const char* name, const Variable<S, R>& x, const KeptFunction& f, bool from_result,
                           ElementwisePiece<const S*, S*> forward,
                           ElementwisePiece<const S*, const S*, Accumulator<S>> backward) {
  Operation<S> op(name, x);
  const auto y = op.result(x.shape());
  in_pieces<const S*, S*>(forward, f.get(), x.size(), x.data(), op.data(y));
  if (op.records())
    op.record(y, [f, backward, dy = op.slot(y), dx = op.slot(x), saved = op.keep(from_result ? y : x)](Pass<S>& pass) {
      if (const auto d = pass.accumulate(dx))
        in_pieces<const S*, const S*, Accumulator<S>>(backward, f.get(), dx.size, saved.get(), pass.of(dy), d);
    });
  return y;
}

}  // namespace detail

/// y = f(x), element by element, for a function such as those of kernels/activation.hpp or one's own:
///
///     struct Cube {
///       static constexpr bool from_result = false;  // derivative() is given x; where true, the result
///       template <class S> S value(S x) const { return x * x * x; }
///       template <class S> S derivative(S x) const { return 3 * x * x; }
///     };
///     y = elementwise("cube", x, Cube{});
///
/// x: any shape  ->  the same shape.  Saves x, or the result alone where `from_result`.
template <class S, int R, class F>
Variable<S, R> elementwise(const char* name, const Variable<S, R>& x, const F& f) {
  return detail::elementwise(name, x, detail::KeptFunction(f), F::from_result, detail::forward_piece<S, F>(),
                             detail::backward_piece<S, F>());
}

ATTEND_END
