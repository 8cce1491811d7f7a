#pragma once
#include <optional>

#include "attend/autograd/parameter.hpp"

ATTEND_BEGIN

/// Stands for an argument that is not there, such as the bias of a layer without one: a value without elements.
template <class S, int R>
Variable<S, R> absent() {
  return {Shape<R>{}, make_buffer<S>(0)};
}
template <class S, int R>
bool present(const Variable<S, R>& v) {
  return v.size() > 0;
}

/// A layer's optional parameter on the tape of the other arguments, or the value that stands for none.
template <class S, int R, class... V>
Variable<S, R> on(const std::optional<Parameter<S, R>>& parameter, const V&... others) {
  return parameter ? parameter->on(others...) : absent<S, R>();
}

ATTEND_END
