namespace Grpo.Fuzz.Tests;

/// <summary>A reader of untrusted bytes or text.</summary>
/// <param name="Name">The name of the format.</param>
/// <param name="Weight">The share of inputs, relative to the other targets.</param>
/// <param name="Seeds">The valid inputs, all with the same parts.</param>
/// <param name="Parse">Reads an input and asserts what must hold if it is accepted.</param>
/// <param name="Documented">The documented exceptions that may refuse an input.</param>
internal sealed record FuzzTarget(
    string Name, int Weight, IReadOnlyList<FuzzInput> Seeds, Action<FuzzInput> Parse, params IReadOnlyList<Type> Documented)
{
    public override string ToString() => Name;
}
