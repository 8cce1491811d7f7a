// refused: attend: this layer.s forward takes
#include <attend/attend.hpp>
using namespace attend;

#ifdef MISTAKE
void f(const MultiHeadAttention<float>& attention, const Tensor<float, 4>& x) { attention(x); }
#else
void f(const MultiHeadAttention<float>& attention, const Tensor<float, 3>& x) { attention(x); }
#endif
