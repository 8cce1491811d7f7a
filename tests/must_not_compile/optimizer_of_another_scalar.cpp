// refused: by its type
#include <attend/attend.hpp>
using namespace attend;

#ifdef MISTAKE
void f(Dense<double>& m, const Gradients<float>& g, Sgd<float>& s) { s.step(m, g); }
#else
void f(Dense<float>& m, const Gradients<float>& g, Sgd<float>& s) { s.step(m, g); }
#endif
