// refused: by its type
#include <attend/attend.hpp>
using namespace attend;

#ifdef MISTAKE
void f(const MultiHeadAttention<float>& attention, const Tensor<float, 3>& x, const AttendMask& m) {
  attention(x, {.padding = m});
}
#else
void f(const MultiHeadAttention<float>& attention, const Tensor<float, 3>& x, const AttendMask& m) {
  attention(x, {.mask = m});
}
#endif
