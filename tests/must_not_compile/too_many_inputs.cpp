// refused: attend: this layer.s forward takes
#include <attend/attend.hpp>
using namespace attend;

#ifdef MISTAKE
void f(const Dense<float>& d, const Tensor<float, 2>& x) { d(x, x); }
#else
void f(const Dense<float>& d, const Tensor<float, 2>& x) { d(x); }
#endif
