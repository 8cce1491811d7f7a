// Trains one multi-head attention and one convolution block.
#include <attend/attend.hpp>

using namespace attend;

struct Model : Layer<Model> {
  explicit Model(Rng& rng) : block(block_options(), rng), attention(attention_options(), rng) {}
  static AttentionCnnBlockOptions block_options() {
    AttentionCnnBlockOptions o;
    o.in_channels = 3, o.out_channels = 32;
    return o;
  }
  static MultiHeadAttentionOptions attention_options() {
    MultiHeadAttentionOptions o;
    o.embed_dim = 32, o.num_heads = 4;
    return o;
  }
  Variable<float, 3> forward(const Variable<float, 4>& x) const {
    const auto map = block(x);
    return attention(map.reshape(Shape<3>{map.dim(0), map.dim(1) * map.dim(2), map.dim(3)}));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("block", self.block);
    visit("attention", self.attention);
  }
  AttentionCnnBlock<float> block;
  MultiHeadAttention<float> attention;
};

int main() {
  Rng rng(1);
  Model model(rng);
  AdamW<float> optimizer(model);
  Tensor<float, 4> x(2, 8, 8, 3);
  Tensor<float, 3> target(2, 64, 32);
  x.setConstant(0.5f), target.setZero();
  for (int step = 0; step < 10; ++step) {
    Tape<float> tape(Mode::training, rng);
    optimizer.step(model, tape.backward(mse(model(tape.input(x)), target)));
  }
}
