#pragma once
/// Rows that call a layer with one tensor: inference, backward pass, training step.
#include <attend/autograd/layer.hpp>
#include <attend/train/sgd.hpp>

#include <memory>
#include <utility>

#include "../row.hpp"

namespace bench {

/// What a layer computes and with which options, for other libraries.
using Description = std::vector<std::pair<std::string, std::string>>;

inline void describe(SafetensorsWriter& file, const Description& description, const char* pass) {
  for (const auto& [key, text] : description) file.metadata(key, text);
  file.metadata("pass", pass);
}

/// Inference by `call(layer, x, y)`. `error(layer, x, y)` compares with a reference.
template <class Model, int R, class Call, class Error>
Work layer_inference_by(Model model, const Tensor<float, R>& x, const Description& description, const Call& call,
                        const Error& error) {
  struct State {
    Model model;
    Tensor<float, R> x;
    decltype(std::declval<const Model&>()(std::declval<const Tensor<float, R>&>())) y{};
  };
  const auto s = std::make_shared<State>(State{std::move(model), x});
  return {[s, call] { call(s->model, s->x, s->y); }, [s, error] { return error(s->model, s->x, s->y); },
          [s, description](SafetensorsWriter& file) {
            file.add("x", s->x).add("output", s->y);
            add_parameters<float>(file, s->model, "layer.");
            describe(file, description, "forward");
          }};
}

/// A tensor made for each call.
template <class Model, int R, class Error>
Work layer_inference(Model model, const Tensor<float, R>& x, const Description& description, const Error& error) {
  return layer_inference_by(
      std::move(model), x, description, [](const Model& layer, const auto& in, auto& y) { y = layer(in); }, error);
}
/// One tensor, written by each call: beside peers whose outputs are bound.
template <class Model, int R, class Error>
Work layer_inference_into(Model model, const Tensor<float, R>& x, Description description, const Error& error) {
  description.emplace_back("output", "bound");
  return layer_inference_by(
      std::move(model), x, description, [](const Model& layer, const auto& in, auto& y) { layer.into(y, in); }, error);
}

/// Gradients of x and of the parameters from a gradient of the result, with x, result and all gradients at hand.
template <class Model, int R, int Out>
struct LayerGradients {
  LayerGradients(Model m, const Tensor<float, R>& input, const Shape<Out>& result)
      : model(std::move(m)), x(input), dy(normal_tensor<Out>(result, 5)) {}

  void write(SafetensorsWriter& file, const Model& of, const Variable<float, Out>& y, const Variable<float, R>& in,
             const Gradients<float>& gradients) const {
    file.add("x", x).add("gradient", dy).add("output", y.tensor()).add("output.x", gradients.of(in));
    add_parameters<float>(file, of, "layer.");
    for (const auto& p : parameters<float>(of))
      if (const float* g = gradients.find(*p.data))
        file.add("output.layer." + p.name, ArrayBytes::of(p->shape(), g, p->size()));
  }
  Model model;
  Tensor<float, R> x;
  Tensor<float, Out> dy;
};

/// The backward pass alone, again and again over one kept tape. `error(layer, x, dy, y, dx, gradients)`.
template <class Model, int R, std::size_t N, class Error>
Work layer_backward(Model model, const Tensor<float, R>& x, const std::array<Index, N>& result,
                    const Description& description, const Error& error) {
  constexpr int Out = static_cast<int>(N);
  struct State : LayerGradients<Model, R, Out> {
    State(Model m, const Tensor<float, R>& input, const Shape<Out>& shape)
        : LayerGradients<Model, R, Out>(std::move(m), input, shape),
          in(tape.want(tape.input(this->x))),
          y(this->model(in)) {}
    Gradients<float> call() { return tape.backward_from(y, this->dy.data(), Keep::tape); }
    Tape<float> tape{Mode::training};
    Variable<float, R> in;
    Variable<float, Out> y;
  };
  const auto s = std::make_shared<State>(std::move(model), x, result);
  return {[s] { s->call(); },
          [s, error] {
            const auto g = s->call();
            return error(s->model, s->x, s->dy, s->y.tensor(), g.of(s->in), g);
          },
          [s, description](SafetensorsWriter& file) {
            s->write(file, s->model, s->y, s->in, s->call());
            describe(file, description, "backward");
          }};
}

/// A training step: forward, backward and a step of SGD so small that many change little. What is compared and written is
/// of a copy that has taken none.
template <class Model, int R, std::size_t N, class Error>
Work layer_training(Model model, const Tensor<float, R>& x, const std::array<Index, N>& result,
                    const Description& description, const Error& error) {
  constexpr int Out = static_cast<int>(N);
  struct State : LayerGradients<Model, R, Out> {
    using LayerGradients<Model, R, Out>::LayerGradients;
    void call() {
      Tape<float> tape(Mode::training, rng);
      const auto y = this->model(tape.want(tape.input(this->x)));
      optimizer.step(this->model, tape.backward_from(y, this->dy.data()));
    }
    Rng rng{6};
    Model untrained{this->model};
    Sgd<float> optimizer{this->model, {.learning_rate = 1e-6}};
  };
  const auto s = std::make_shared<State>(std::move(model), x, result);
  return {[s] { s->call(); },
          [s, error] {
            Tape<float> tape(Mode::training, s->rng);
            const auto in = tape.want(tape.input(s->x));
            const auto y = s->untrained(in);
            const auto g = tape.backward_from(y, s->dy.data());
            return error(s->untrained, s->x, s->dy, y.tensor(), g.of(in), g);
          },
          [s, description](SafetensorsWriter& file) {
            Tape<float> tape(Mode::training, s->rng);
            const auto in = tape.want(tape.input(s->x));
            const auto y = s->untrained(in);
            s->write(file, s->untrained, y, in, tape.backward_from(y, s->dy.data()));
            describe(file, description, "step");
          }};
}

/// A layer of doubles with the values of one of floats.
template <class To, class From>
To in_double(To to, const From& from) {
  const auto source = parameters<float>(from);
  const auto target = parameters<double>(to);
  for (std::size_t i = 0; i < target.size(); ++i) {
    auto values = target[i]->edit_flat();
    for (Index j = 0; j < values.size(); ++j) values(j) = double(source[i]->data()[j]);
  }
  return to;
}
template <int R>
Tensor<double, R> in_double(const Tensor<float, R>& x) {
  Tensor<double, R> y(shape_of(x));
  for (Index i = 0; i < x.size(); ++i) y.data()[i] = double(x.data()[i]);
  return y;
}
template <class Found, class Expected>
double difference(const Found& found, const Expected& expected) {
  Difference d;
  for (Index i = 0; i < expected.size(); ++i) d.add(double(found.data()[i]), double(expected.data()[i]));
  return d.relative();
}

/// Of result and gradients of a training step from those of the same layer in double. A gradient that is nothing but
/// rounding, as that of a bias before a norm, counts beside the largest.
template <class Exact, class Model, int R, int Out>
double training_difference(const Exact& exact, const Model& model, const Tensor<float, R>& x,
                           const Tensor<float, Out>& dy, const Tensor<float, Out>& y, const Tensor<float, R>& dx,
                           const Gradients<float>& gradients) {
  Tape<double> tape(Mode::training);
  const auto in = tape.want(tape.input(in_double(x)));
  const auto out = exact(in);
  const auto expected = tape.backward_from(out, in_double(dy).data());
  double worst = std::max(difference(y, out.tensor()), difference(dx, expected.of(in)));
  const auto mine = parameters<float>(model);
  const auto theirs = parameters<double>(exact);
  std::vector<Difference> differences;
  double largest = 0;
  for (std::size_t i = 0; i < mine.size(); ++i) {
    const float* found = gradients.find(*mine[i].data);
    if (!found) continue;  // a buffer
    Difference& d = differences.emplace_back();
    for (Index j = 0; j < mine[i]->size(); ++j) d.add(double(found[j]), expected.find(*theirs[i].data)[j]);
    largest = std::max(largest, d.scale());
  }
  for (const Difference& d : differences)
    worst = std::max(worst, d.scale() > 1e-9 * largest ? d.relative() : d.absolute() / largest);
  return worst;
}

}  // namespace bench
