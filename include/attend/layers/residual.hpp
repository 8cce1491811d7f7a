#pragma once
#include "attend/autograd/layer.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/dropout.hpp"

ATTEND_BEGIN

/// y = x + drop_path(body(x)).  x: (batch, ...), as the body takes and gives it (ShapeError if it gives another shape).
/// With drop_path = p, on a training tape a sample's branch is left out with probability p, else divided by 1 - p.
/// He et al. 2016; drop path: timm's
///
///     Residual(Sequential(LayerNorm<float>({dim}), Dense<float>({dim, dim}, rng)), 0.1)
template <class Body>
class Residual : public Layer<Residual<Body>> {
 public:
  explicit Residual(Body body, double drop_path = 0) : body_(std::move(body)), drop_path_(drop_path) {
    detail::check_probability("Residual", drop_path);
  }

  template <class S, int R>
  Variable<S, R> forward(const Variable<S, R>& x) const {
    const auto branch = body_(x);
    static_assert(std::is_same_v<std::decay_t<decltype(branch)>, Variable<S, R>>,
                  "attend: the body of a Residual gives the rank and scalar that it takes");
    require(branch.shape() == x.shape(), "Residual",
            [&] { return message("x has shape ", x.shape(), "; the body must keep it, but gives ", branch.shape()); });
    return x + drop_path(branch, drop_path_);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("body", self.body_);
  }

 private:
  Body body_;
  double drop_path_;
};

ATTEND_END
