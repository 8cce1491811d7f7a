#pragma once
#include "attend/functional/arithmetic.hpp"
#include "attend/layers/pointwise_conv.hpp"

ATTEND_BEGIN
namespace detail {

/// The maps of DANet's and CCNet's attention, and the factor of what it reads, which starts at 0.
/// query_conv, key_conv: weight (reduced, channels, 1, 1), bias (reduced)  value_conv: weight (channels, channels, 1, 1),
/// bias (channels)  gamma (1)
template <class S>
class QueryKeyValueMaps : public Layer<QueryKeyValueMaps<S>> {
 public:
  /// reduced_channels 0: channels / 8. Throws OptionError, in the attention's name, where no channel is left.
  QueryKeyValueMaps(const char* attention, Index channels, Index reduced_channels, Rng& rng)
      : channels_(channels),
        query_conv_({channels, reduced(attention, channels, reduced_channels)}, rng),
        key_conv_({channels, reduced(attention, channels, reduced_channels)}, rng),
        value_conv_({channels, channels}, rng),
        gamma_({1}) {}

  Index channels() const { return channels_; }
  Variable<S, 4> query(const Variable<S, 4>& x) const { return query_conv_(x); }
  Variable<S, 4> key(const Variable<S, 4>& x) const { return key_conv_(x); }
  Variable<S, 4> value(const Variable<S, 4>& x) const { return value_conv_(x); }
  /// gamma read + x
  Variable<S, 4> added(const Variable<S, 4>& read, const Variable<S, 4>& x) const {
    return gamma_.on(x).reshape(Shape<4>{1, 1, 1, 1}) * read + x;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("query_conv", self.query_conv_);
    visit("key_conv", self.key_conv_);
    visit("value_conv", self.value_conv_);
    visit("gamma", self.gamma_);
  }

 private:
  static Index reduced(const char* attention, Index channels, Index given) {
    const Index left = given == 0 ? channels / 8 : given;
    require<OptionError>(channels > 0 && left > 0, attention, [&] {
      return message("channels = ", channels, " must be above 0, and reduced_channels = ", left,
                     " too; by default it is an eighth of channels");
    });
    return left;
  }
  Index channels_;
  PointwiseConv<S> query_conv_, key_conv_, value_conv_;
  Parameter<S, 1> gamma_;
};

}  // namespace detail
ATTEND_END
