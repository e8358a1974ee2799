namespace Grpo.Fuzz.Tests;

/// <summary>A reader of bytes or text that nobody vouches for.</summary>
/// <param name="Name">What is read.</param>
/// <param name="Weight">Its share of the inputs, relative to the others.</param>
/// <param name="Seeds">Valid inputs, all with the same parts.</param>
/// <param name="Parse">Reads one, and asserts what must hold when it is taken.</param>
/// <param name="Documented">The exceptions by which it may refuse one.</param>
internal sealed record FuzzTarget(
    string Name, int Weight, IReadOnlyList<FuzzInput> Seeds, Action<FuzzInput> Parse, params IReadOnlyList<Type> Documented)
{
    public override string ToString() => Name;
}
