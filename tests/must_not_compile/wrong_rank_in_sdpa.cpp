// refused: by its type
#include <attend/attend.hpp>
using namespace attend;

#ifdef MISTAKE
auto f(const Tensor<float, 3>& q) { return scaled_dot_product_attention(q, q, q); }
#else
auto f(const Tensor<float, 4>& q) { return scaled_dot_product_attention(q, q, q); }
#endif
