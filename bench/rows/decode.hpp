#pragma once
/// A4-A6: one query to a cache of keys and values. Peers get keys and values as tensors, in the layout they like best.
#include <attend/attention/cached_attention.hpp>

#include "attention.hpp"

namespace bench {

inline Work attention_with_cache(const AttentionCase& c) {
  struct State : AttentionInputs {
    explicit State(const AttentionCase& given)
        : AttentionInputs(given),
          cache({.batch = c.batch,
                 .max_length = c.keys,
                 .num_heads = c.key_heads,
                 .head_dim = c.dim,
                 .value_dim = c.value_dim}) {
      cache.append(key, value);
    }
    void call() { y = scaled_dot_product_attention(query, cache); }
    KeyValueCache<float> cache;
    Tensor<float, 4> y;
  };
  const auto s = std::make_shared<State>(c);
  return {[s] { s->call(); }, [s] { return s->error({s->y}); },
          [s](SafetensorsWriter& file) { s->write(file, "forward", {s->y}); }};
}

inline Rows decode_rows() {
  Rows rows;
  const auto add = [&](const char* id, const char* what, const AttentionCase& c) {
    for (const bool cached : {true, false})
      rows.push_back({cached ? id : std::string(id) + "@tensors",
                      cached ? what : std::string("the same, no cache: ") + what, Bound::reading, 2 * c.product(),
                      c.bytes(), 1e-5,
                      [c, cached] { return cached ? attention_with_cache(c) : attention_forward(c); }});
  };
  add("A4", "GPT-2 decode, B1 H12 1x1024 D64", {1, 12, 1, 1024, 64});
  add("A5", "GPT-2 decode, B8 H12 1x2048 D64", {8, 12, 1, 2048, 64});
  add("A6", "grouped-query decode, B1 H32/8 1x4096 D128", {1, 32, 1, 4096, 128, 8});
  return rows;
}

}  // namespace bench
