// refused: attend: this layer.s forward takes
#include <attend/attend.hpp>
using namespace attend;

#ifdef MISTAKE
void f(const MultiHeadAttention<float>& attention, float* p) { attention(Eigen::TensorMap<Tensor<float, 2>>(p, 2, 3)); }
#else
void f(const MultiHeadAttention<float>& attention, float* p) {
  attention(Eigen::TensorMap<Tensor<float, 3>>(p, 1, 2, 3));
}
#endif
