// refused: attend: item.. reads a scalar
#include <attend/attend.hpp>
using namespace attend;

#ifdef MISTAKE
float f(const Variable<float, 2>& x) { return x.item(); }
#else
float f(const Variable<float, 0>& x) { return x.item(); }
#endif
