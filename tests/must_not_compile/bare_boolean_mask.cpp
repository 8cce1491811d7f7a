// refused: by its type
#include <attend/attend.hpp>
using namespace attend;

#ifdef MISTAKE
void f(const MultiHeadAttention<float>& attention, const Tensor<float, 3>& x, const Tensor<bool, 4>& m) {
  attention(x, {.mask = m});
}
#else
void f(const MultiHeadAttention<float>& attention, const Tensor<float, 3>& x, const Tensor<bool, 4>& m) {
  attention(x, {.mask = AttendMask(m)});
}
#endif
