#pragma once
#include <cmath>
#include <map>
#include <vector>

#include "attend/autograd/variable.hpp"

ATTEND_BEGIN

template <class S>
class ParameterData;
template <class S, int R>
class Parameter;

/// Mean and biased variance (channels) of `count` samples, for the two running buffers of a normalisation, and for the
/// one that counts the steps (0: there is none).
template <class S>
struct Moments {
  std::uint64_t mean_id, variance_id;
  S momentum;
  Index count;
  std::vector<S> mean, variance;
  std::uint64_t batches_id = 0;
  void pool(const Moments& o) {  // Chan et al. 1979
    const S n = S(count), m = S(o.count), all = n + m;
    for (std::size_t c = 0; c < mean.size(); ++c) {
      const S delta = o.mean[c] - mean[c];
      variance[c] = (n * variance[c] + m * o.variance[c]) / all + delta * delta * n * m / (all * all);
      mean[c] += delta * m / all;
    }
    count += o.count;
  }
};

/// What a backward pass found: a value. `+=` adds gradients and pools moments.
template <class S>
class Gradients {
 public:
  /// Zeros for a parameter that took no part.
  template <int R>
  Tensor<S, R> of(const Parameter<S, R>& p) const {
    return tensor<R>(p.typed_shape(), find(p));
  }
  /// Of a parameter found by name, as a tensor of its rank.
  template <int R>
  Tensor<S, R> of(const ParameterData<S>& p) const {
    require(p.shape().size() == static_cast<std::size_t>(R), "gradients",
            [&] { return message("the parameter has shape ", p.shape(), "; a tensor of rank ", R, " was asked for"); });
    Shape<R> shape{};
    std::copy(p.shape().begin(), p.shape().end(), shape.begin());
    return tensor<R>(shape, find(p));
  }
  /// Of an input or activation that the tape was told to `want`.
  template <int R>
  Tensor<S, R> of(const Variable<S, R>& v) const {
    const auto found = values_.find(v.id());
    require<OptionError>(found != values_.end(), "gradients",
                         [] { return "nobody asked for this value; call tape.want(value) before backward"; });
    return tensor<R>(v.shape(), found->second.data.get());
  }
  const S* find(const ParameterData<S>& p) const {
    const auto found = parameters_.find(p.id());
    return found == parameters_.end() ? nullptr : found->second.data.get();
  }
  const std::vector<Moments<S>>& moments() const { return moments_; }
  /// f(data, size) for the gradient of every parameter that took part, in the order of their construction.
  template <class F>
  void for_each_parameter(const F& f) const {
    for (const auto& [id, entry] : parameters_) f(static_cast<const S*>(entry.data.get()), entry.size);
  }
  /// The same, to change them: clipping, scaling. Copies of this value keep theirs.
  template <class F>
  void edit_parameters(const F& f) {
    for (auto& [id, entry] : parameters_) {
      if (entry.data.use_count() > 1) entry.data = copy_buffer(entry.data.get(), entry.size);
      f(entry.data.get(), entry.size);
    }
  }
  std::size_t parameter_count() const { return parameters_.size(); }
  Gradients& operator+=(const Gradients& o) {
    add(parameters_, o.parameters_);
    add(values_, o.values_);
    for (const auto& m : o.moments_) pool(m);
    return *this;
  }

  // ---- for the tape ----
  struct Entry {
    Shared<S> data;
    Index size;
  };
  void set(std::uint64_t parameter, Entry entry) { parameters_[parameter] = std::move(entry); }
  void set(const ValueId& value, Entry entry) { values_[value] = std::move(entry); }
  void pool(const Moments<S>& m) {
    for (auto& known : moments_)
      if (known.mean_id == m.mean_id) return known.pool(m);
    moments_.push_back(m);
  }

 private:
  template <int R>
  static Tensor<S, R> tensor(const Shape<R>& shape, const S* data) {
    Tensor<S, R> t(shape);
    if (data)
      detail::copy_bulk(data, t.size(), t.data());
    else
      t.setZero();
    return t;
  }
  template <class Map>
  static void add(Map& to, const Map& from) {
    for (const auto& [key, entry] : from) {
      Entry& sum = to.try_emplace(key, Entry{make_buffer<S>(entry.size, S(0)), entry.size}).first->second;
      if (sum.data.use_count() > 1)
        sum.data = copy_buffer(sum.data.get(), sum.size);  // shared with a copy of this value
      for (Index i = 0; i < entry.size; ++i) sum.data.get()[i] += entry.data.get()[i];
    }
  }
  std::map<std::uint64_t, Entry> parameters_;
  std::map<ValueId, Entry> values_;
  std::vector<Moments<S>> moments_;
};

ATTEND_END
