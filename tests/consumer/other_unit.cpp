#include <attend/attend.hpp>

attend::Tensor<float, 3> from_the_other_unit(const attend::Tensor<float, 3>& x) {
  attend::Rng rng(2);
  attend::DenseOptions options;
  options.in_features = 8;
  options.out_features = 8;
  return attend::Dense<float>(options, rng)(x);
}
