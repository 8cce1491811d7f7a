// What a stranger's program does: two units that both include the library, one layer, one call.
#include <attend/attend.hpp>

#include <cstdio>

attend::Tensor<float, 3> from_the_other_unit(const attend::Tensor<float, 3>& x);

int main() {
  attend::Rng rng(1);
  attend::Tensor<float, 3> x(1, 3, 8);
  for (attend::Index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(rng.normal());
  attend::MultiHeadAttentionOptions options;
  options.embed_dim = 8;
  options.num_heads = 2;
  const attend::MultiHeadAttention<float> attention(options, rng);
  const attend::Tensor<float, 3> y = attention(from_the_other_unit(x));
  std::printf("%d tokens of %d channels\n", static_cast<int>(y.dimension(1)), static_cast<int>(y.dimension(2)));
  return y.dimension(2) == 8 ? 0 : 1;
}
