// refused: by its type
#include <attend/attend.hpp>
using namespace attend;

#ifdef MISTAKE
void f(const MultiHeadAttention<float>& attention, const Tensor<float, 3>& x, const PaddingMask& m) {
  attention(x, {.mask = m});
}
#else
void f(const MultiHeadAttention<float>& attention, const Tensor<float, 3>& x, const PaddingMask& m) {
  attention(x, {.padding = m});
}
#endif
