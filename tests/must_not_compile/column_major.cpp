// refused: attend: pass row-major Tensors
#include <attend/attend.hpp>
using namespace attend;

#ifdef MISTAKE
void f(const Dense<float>& dense, const Eigen::Tensor<float, 3>& x) { dense(x); }
#else
void f(const Dense<float>& dense, const Tensor<float, 3>& x) { dense(x); }
#endif
