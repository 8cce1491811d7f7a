// refused: by its type
#include <attend/attend.hpp>
using namespace attend;
void g(TensorView<float, 3>);
#ifdef MISTAKE
void f(const Tensor<float, 3>& x) { g(x); }
#else
void f(Tensor<float, 3>& x) { g(x); }
#endif
