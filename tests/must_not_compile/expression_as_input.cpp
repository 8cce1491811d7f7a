// refused: attend: pass row-major Tensors
#include <attend/attend.hpp>
using namespace attend;

#ifdef MISTAKE
void f(const Dense<float>& dense, const Tensor<float, 3>& x) { dense(x + x); }
#else
void f(const Dense<float>& dense, const Tensor<float, 3>& x) { dense(Tensor<float, 3>(x + x)); }
#endif
