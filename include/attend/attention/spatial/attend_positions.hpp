#pragma once
#include "attend/autograd/recording.hpp"
#include "attend/functional/attention.hpp"

ATTEND_BEGIN
namespace detail {

/// dropout(softmax(scale query key^T + bias)) value, for `layer`, which offers its "weights" (batch, heads, queries,
/// keys) while somebody records it. query, key, value: (batch, queries or keys, heads, dim); bias may be null.
template <class Layer, class S>
Variable<S, 4> attend_positions(const Layer& layer, const char* name, const HeadView<S>& query, const HeadView<S>& key,
                                const HeadView<S>& value, const Variable<S, 4>* bias, double scale,
                                double dropout = 0) {
  const MayAttend everything(name, AttentionMasks{},
                             check_attention(name, query.shape(), key.shape(), value.shape(), bias));
  const bool recorded = Recording::wants(key_of(layer));
  const auto attended = fused_attention<S>(name, query, key, value, bias, everything, scale, dropout, recorded);
  if (recorded) offer(layer, "weights", *attended.weights);
  return attended.output;
}

}  // namespace detail
ATTEND_END
